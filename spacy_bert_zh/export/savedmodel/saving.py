"""Trained classifiers as TensorFlow's SavedModel and as Keras' own file."""

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from spacy_bert_zh.backbones.keras.heads import Classifier
from spacy_bert_zh.backbones.keras.weights import build_network, fill
from spacy_bert_zh.checkpoint import write_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.savedmodel.ngrams import TextNgrams
from spacy_bert_zh.export.savedmodel.pieces import TextPieces
from spacy_bert_zh.loading import Parts

TEXTS = [tf.TensorSpec([None], tf.string, "texts")]
IDS = [tf.TensorSpec([None, None], tf.int32, "ids"), tf.TensorSpec([None], tf.int32, "lengths")]


class Served(tf.Module):
    """A classifier as one graph, from texts to scores.

    Args:
        parts: Of the classifier.
        strings: Whether it cuts texts into word pieces itself.

    Attributes:
        functions: One for texts; one for ids, unless it adds n-grams, which
            need the text.
    """

    def __init__(self, parts: Parts, strings: bool) -> None:
        super().__init__()
        settings = parts.settings
        self.bert = build_network(parts.checkpoint, settings["pooling"], packed=True)
        self.weights = tf.Variable(parts.weights.T, trainable=False)
        self.bias = tf.Variable(parts.bias, trainable=False)
        self.labels = tf.constant(parts.labels)
        self.activation = tf.nn.softmax if parts.exclusive_classes else tf.nn.sigmoid
        self.below = None if parts.below is None else tf.constant(parts.below)
        self.pieces: Any = None
        self.ngrams: Any = None
        if strings:
            tokenizer, prefix = parts.checkpoint.tokenizer, parts.checkpoint.prefix
            names = ("max_length", "stride", "max_windows")
            length, stride, most = (settings[name] for name in names)
            self.pieces = TextPieces(tokenizer, length, stride, most, prefix)
            if parts.ngrams is not None:
                self.ngrams = TextNgrams(parts.ngrams)
        self.functions: dict[str, Any] = {}
        if strings:
            self.functions["strings"] = tf.function(self.classify_strings, TEXTS)
        if parts.ngrams is None:
            self.functions["ids"] = tf.function(self.classify_ids, IDS)

    def classify_strings(self, texts: Any) -> dict[str, Any]:
        """Texts of shape (texts,) to labels and scores, each of shape (texts, labels)."""
        ids, lengths, owners = self.pieces(texts)
        # A document's vector is the mean over its windows.
        vectors = tf.math.segment_mean(self.bert(ids, lengths), owners)
        logits = tf.matmul(vectors, self.weights) + self.bias
        if self.ngrams is not None:
            logits += self.ngrams(texts)
        return self._answer(logits)

    def classify_ids(self, ids: Any, lengths: Any) -> dict[str, Any]:
        """Word pieces with [CLS] and [SEP], padded with anything, to labels and scores.

        Args:
            ids: Shape (windows, length).
            lengths: Pieces of each window, shape (windows,).

        Returns:
            Each of shape (windows, labels).
        """
        return self._answer(tf.matmul(self.bert(ids, lengths), self.weights) + self.bias)

    def _answer(self, logits: Any) -> dict[str, Any]:
        shape, scores = tf.shape(logits), self.activation(logits)
        if self.below is not None:  # the highest of each label and all below it
            scores = tf.reduce_max(tf.gather(scores, self.below, axis=1), axis=2)
        # TensorFlow Serving wants as many rows of everything.
        return {"labels": tf.broadcast_to(self.labels, shape), "scores": scores}


def save_model(parts: Parts, folder: Path, strings: bool) -> None:
    """Write a SavedModel that `tf.saved_model.load` loads without this package.

    Its signatures are ``strings``, and ``ids`` unless it adds n-grams, which need the text; the
    first of them is also ``serving_default``. The tokenizer and the labels lie in
    ``assets.extra``.

    Args:
        parts: Of the classifier.
        folder: The folder to make.
        strings: Whether to have the signature for texts.

    Raises:
        BertZhError: Its tokenizer has no graph, or no signature would remain.
    """
    served = Served(parts, strings)
    if not served.functions:
        raise BertZhError(
            "This pipeline adds n-grams of the text to its BERT, so it can't do with ids alone: "
            "export it without --no-strings"
        )
    default = next(iter(served.functions.values()))
    signatures = {**served.functions, "serving_default": default}
    tf.saved_model.save(served, str(folder), signatures=signatures)
    extra = folder / "assets.extra"
    extra.mkdir()
    text = json.dumps(parts.labels, ensure_ascii=False) + "\n"
    (extra / "labels.json").write_text(text, "utf-8")
    most, prefix = parts.settings["max_length"], parts.checkpoint.prefix
    write_tokenizer(parts.checkpoint.tokenizer, extra, most, prefix)


def save_keras(parts: Parts, path: Path) -> None:
    """Write a `Classifier` as a ``.keras`` file: ids in, scores of each window out.

    Raises:
        BertZhError: The pipeline adds n-grams, which need the text.
    """
    if parts.ngrams is not None:
        raise BertZhError(
            "This pipeline adds n-grams of the text to its BERT, a .keras file reads ids alone: "
            "take --format savedmodel, or train with configs/tensorflow.cfg"
        )
    if prefix := parts.checkpoint.prefix:
        print(f"A .keras file reads ids: whoever makes them puts {prefix!r} in front of each text")
    model = Classifier(
        parts.checkpoint.config,
        parts.labels,
        parts.settings["pooling"],
        parts.exclusive_classes,
        below=None if parts.below is None else parts.below.tolist(),
    )
    fill(model.bert, parts.checkpoint)
    model.head.set_weights([parts.weights.T, parts.bias])
    # Keras wants to see this ending.
    named = path.with_name(f"{path.name}.keras")
    try:
        model.save(named)
        named.replace(path)
    finally:
        named.unlink(missing_ok=True)
