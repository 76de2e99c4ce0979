"""A text classifier taken apart as far as explanations need it."""

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import to_numpy

from spacy_bert_zh.backbones.base import BackboneShim
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import find_textcat, is_exclusive, thresholds_of
from spacy_bert_zh.textcat import (
    NGRAMS,
    Cascade,
    given_of,
    ngram_bias,
    plain_weights,
    shims_of,
)

BATCH = 128
"""Texts that are asked about at once."""
LEAST = 1e-12

_UNREPAIRED = SimpleNamespace(zh_repair=None)


class Classifier:
    """The parts of a pipeline's text classifier, and what it says.

    Args:
        nlp: The pipeline.
        component: Its text classifier, if it has several.

    Raises:
        BertZhError: There is none, or it is not a BERT of one of our engines.
    """

    def __init__(self, nlp: Language, component: str | None = None) -> None:
        self.nlp, self.pipe = nlp, find_textcat(nlp, component)
        model: Any = self.pipe.model
        self.shims: list[BackboneShim] = shims_of(model)
        if not self.shims or not all(isinstance(shim, BackboneShim) for shim in self.shims):
            raise BertZhError(
                f"The component '{self.pipe.name}' can't be explained: it has no BERT of its own, "
                "as BertTextCat and BertTextCatEnsemble have with a TorchBackbone, a "
                "KerasBackbone or an OnnxBackbone"
            )
        self.labels = list(self.pipe.labels)
        weights, bias = map(to_numpy, plain_weights(model.get_ref("output_layer")))
        self.weights: NDArray[np.float32] = weights
        self.bias: NDArray[np.float32] = bias
        self.linear: Any = None
        self.ngram_bias: NDArray[np.float32] = np.zeros_like(bias)
        if model.name == "bert_textcat_ensemble":
            self.linear = model.layers[2]
            self.rate = float(model.attrs["linear_rate"])
            self.ngram_bias = to_numpy(ngram_bias(model))

    def row(self, label: str) -> int:
        """A label's place.

        Raises:
            BertZhError: The classifier doesn't have it.
        """
        if label not in self.labels:
            raise BertZhError(
                f"The component '{self.pipe.name}' has no label {label!r}, only "
                f"{', '.join(self.labels)}"
            )
        return self.labels.index(label)

    def zone(self) -> contextlib.AbstractContextManager[Any]:
        """Where texts leave nothing behind in the vocabulary."""
        vocab: Any = self.nlp.vocab  # spaCy's types don't know it
        if vocab.in_memory_zone:
            return contextlib.nullcontext()
        return self.nlp.memory_zone()

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the classifier says of texts; shape (texts, labels)."""
        found = [np.zeros((0, len(self.labels)), dtype=np.float32)]
        for start in range(0, len(texts), BATCH):
            with self.zone():
                docs = [self.nlp.make_doc(text) for text in texts[start : start + BATCH]]
                found.append(to_numpy(self.pipe.predict(docs)))
        return np.concatenate(found)

    def told_by(self, text: str, rows: Sequence[int]) -> list[int]:
        """The labels whose logits these say of a text: in a tree perhaps those of labels below."""
        tree = getattr(self.pipe, "tree", None)
        if tree is None:
            return list(rows)
        with self.zone():
            apart = to_numpy(self.pipe.model.predict([self.nlp.make_doc(text)]))
        return [int(row) for row in tree.winners(apart)[0, rows]]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the BERT makes of texts; shape (texts, hidden size)."""
        found = [np.zeros((0, self.weights.shape[1]), dtype=np.float32)]
        for start in range(0, len(texts), BATCH):
            # The encoder reads nothing but their texts: making Docs takes a third of the time.
            docs: Any = list(map(_read, texts[start : start + BATCH]))
            found.append(to_numpy(self.pipe.model.get_ref("backbone").predict(docs)))
        return np.concatenate(found)

    def parts(self, directions: NDArray[np.float32]) -> list[tuple[BackboneShim, Any]]:
        """Each BERT with what directions of the vector, (directions, hidden size), have of it."""
        ends = np.cumsum([shim.width for shim in self.shims])[:-1]
        return list(zip(self.shims, np.split(directions, ends, axis=1), strict=True))

    def ngram_logits(self, texts: Sequence[str], alone: bool) -> NDArray[np.float64]:
        """What the linear model says of texts, 0 where there is none; shape (texts, labels).

        Args:
            texts: The texts.
            alone: As a cascade asks it, at a temperature of its own.
        """
        if self.linear is None:
            return np.zeros((len(texts), len(self.labels)))
        docs: Any = list(map(_read, texts))
        logits = self.rate * to_numpy(self.linear.predict(docs)).astype(np.float64)
        return (logits + self.ngram_bias) / self.temperature if alone else logits

    @property
    def temperature(self) -> float:
        """Of the n-grams where they answer alone."""
        return Cascade(**self.pipe.cfg["cascade"]).temperature

    def log_odds(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each label, given the others' logits where labels exclude each other; same shape."""
        if not is_exclusive(self.pipe) or logits.shape[1] == 1:
            return logits
        scores = np.clip(self.from_logits(logits), LEAST, 1 - LEAST)
        found: NDArray[np.float64] = np.log(scores) - np.log1p(-scores)
        return found

    def from_logits(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores by softmax where labels exclude each other, else by sigmoids; same shape."""
        if not is_exclusive(self.pipe):
            sigmoid: NDArray[np.float64] = (1 + np.tanh(logits / 2)) / 2
            return sigmoid
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return softmax

    def answered_by_ngrams(self, text: str) -> bool:
        """Whether the n-grams of a cascade answer alone."""
        if not self.pipe.cfg.get("cascade"):
            return False
        with self.zone():
            doc: Doc = self.nlp.make_doc(text)
            self.pipe.set_annotations([doc], self.pipe.predict([doc]))
            said = (doc._.bert_textcat or {}).get(self.pipe.name, {})
            return bool(said.get("answered_by") == NGRAMS)

    def margins(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far labels are from being taken away, or given: (texts, labels), log odds.

        Positive where a label is given; of exclusive labels that is the best one's.
        """
        held = np.clip(scores.astype(np.float64), LEAST, 1 - LEAST)
        if not is_exclusive(self.pipe):
            least = np.asarray(list(thresholds_of(self.pipe).values()))
            least = np.clip(least, LEAST, 1 - LEAST)
            odds: NDArray[np.float64] = np.log(held / (1 - held)) - np.log(least / (1 - least))
            return odds
        logs = np.log(held)
        if logs.shape[1] == 1:
            return np.ones_like(logs)
        ranked = np.sort(logs, axis=1)
        best = logs == ranked[:, -1:]
        others: NDArray[np.float64] = np.where(best, ranked[:, -2:-1], ranked[:, -1:])
        return logs - others

    def given(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which labels the pipeline gives; shape (texts, labels)."""
        return given_of(self.pipe, scores)


def _read(text: str) -> Any:
    """All that a model reads of a Doc, in a tenth of the time that a Doc takes."""
    return SimpleNamespace(text=text, _=_UNREPAIRED)
