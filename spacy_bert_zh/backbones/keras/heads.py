"""What stands on the Keras BERT: the head of masked language modelling, and a classifier."""

from typing import Any

import keras
from keras import ops

from spacy_bert_zh.backbones.keras.bert import DEFAULTS, Bert, activation_of, dense, norm
from spacy_bert_zh.backbones.settings import Pooling


@keras.saving.register_keras_serializable("spacy_bert_zh")
class MaskedLM(keras.Model):
    """BERT that tells which piece stood at each place (Devlin et al. 2019, section 3.1, task 1).

    logits = norm(activation(x W + b)) Eᵀ + c, where E are the word embeddings.

    Args:
        config: The keys of ``config.json``.
        dtype: A Keras dtype policy.

    Raises:
        BertZhError: The config asks for what is not here.
    """

    def __init__(self, config: dict[str, Any], dtype: str = "float32", **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        config = {**DEFAULTS, **config}
        # With this pooling all pieces' states come out of `encode`.
        self.bert = Bert(config, "mean", dtype, name="bert")
        self.activation = activation_of(config)
        self.dense = dense(config["hidden_size"], config, "dense", dtype)
        self.norm = norm(config, "norm", dtype)
        for layer in (self.dense, self.norm):
            layer.build((None, None, config["hidden_size"]))
        self.bias = self.add_weight(shape=(config["vocab_size"],), name="bias")
        self.built = True

    def call(self, ids: Any, lengths: Any, training: bool = False) -> Any:
        """Logits of every piece at every place, shape (windows, length, pieces); see `Bert`."""
        hidden = self.bert.encode(ids, lengths, training=training)
        hidden = self.norm(self.activation(self.dense(hidden)))
        words = ops.transpose(ops.cast(self.bert.embeddings.words.embeddings, hidden.dtype))
        return ops.cast(ops.matmul(hidden, words), "float32") + self.bias

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' own files."""
        config = dict(self.bert.config)
        return {**super().get_config(), "config": config, "dtype": self.dtype_policy.name}


@keras.saving.register_keras_serializable("spacy_bert_zh")
class Classifier(keras.Model):
    """BERT and a linear head: one score for each label and window, what `BertTextCat` computes.

    Args:
        config: The keys of ``config.json``.
        labels: The labels, in the order of the scores.
        pooling: See `Bert`.
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        dropout: Share of the vector dropped in training.
        dtype: A Keras dtype policy.
        below: Of labels that are a tree, the columns of each and of all below it, in rows of equal
            length: it then says the highest of them.

    Raises:
        BertZhError: The config asks for what is not here.
    """

    def __init__(
        self,
        config: dict[str, Any],
        labels: list[str],
        pooling: Pooling = "cls",
        exclusive_classes: bool = True,
        dropout: float = 0.1,
        dtype: str = "float32",
        below: list[list[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.labels = list(labels)
        self.below = below
        self.exclusive_classes = exclusive_classes
        self.bert = Bert(config, pooling, dtype, name="bert")
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
        self.head = keras.layers.Dense(
            len(labels),
            activation="softmax" if exclusive_classes else "sigmoid",
            kernel_initializer="zeros",
            dtype="float32",
            name="head",
        )
        self.head.build((None, self.bert.config["hidden_size"]))
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Scores of shape (windows, labels).

        Args:
            inputs: ``ids``, padded with anything, shape (windows, length), and ``lengths``,
                shape (windows,).
            training: Use dropout.
        """
        vectors = self.bert(inputs["ids"], inputs["lengths"], training=training)
        scores = self.head(self.dropout(vectors, training=training))
        if self.below is None:
            return scores
        return ops.max(ops.take(scores, ops.convert_to_tensor(self.below, "int32"), 1), axis=2)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' own files."""
        return {
            **super().get_config(),
            "config": dict(self.bert.config),
            "labels": list(self.labels),
            "pooling": self.bert.pooling,
            "exclusive_classes": self.exclusive_classes,
            "dropout": self.dropout.rate,
            "dtype": self.dtype_policy.name,
            "below": None if self.below is None else [list(row) for row in self.below],
        }
