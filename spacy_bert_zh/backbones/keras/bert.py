"""BERT (Devlin et al. 2019) in Keras 3 layers, without torch or transformers.

Nothing here is TensorFlow's own, only Keras' operations. Shapes are written (windows, length,
width); a padded piece is one at or beyond its window's length. "Rows" are either these or, with
a `Packing`, the pieces without padding, shape (pieces, width).
"""

import math
from functools import partial
from typing import Any

import keras
from keras import ops

from spacy_bert_zh.backbones.keras.packing import Packing, Padded
from spacy_bert_zh.backbones.settings import Pooling
from spacy_bert_zh.checkpoint import attended_width, embedded_width
from spacy_bert_zh.errors import BertZhError

_ACTIVATIONS = {
    # The exact one, x · Φ(x); Keras' own default is exact too, but says so nowhere in a config.
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_new": lambda x: keras.activations.gelu(x, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
    "swish": keras.activations.silu,
}


class Embeddings(keras.layers.Layer):
    """Word, position and segment embeddings, added and normalised (section 3, figure 2).

    All pieces are of the first segment, as in text classification.
    """

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        width, dtype = embedded_width(config), kwargs.get("dtype")
        self.words = _table(config["vocab_size"], width, config, "words", dtype)
        self.positions = _table(
            config["max_position_embeddings"], width, config, "positions", dtype
        )
        self.segments = _table(config["type_vocab_size"], width, config, "segments", dtype)
        self.norm = norm(config, "norm", dtype)
        self.dropout = keras.layers.Dropout(config["hidden_dropout_prob"], dtype=dtype)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the three tables and the norm; ids of shape (windows, length)."""
        for table in (self.words, self.positions, self.segments):
            table.build(input_shape)
        self.norm.build((*input_shape, self.words.output_dim))
        self.built = True

    def call(self, ids: Any, places: Any, training: bool = False) -> Any:
        """Ids of any shape, and the place of each in its window, to vectors (…, width)."""
        first = self.segments(ops.zeros((1,), dtype="int32"))  # (1, width)
        vectors = self.words(ids) + self.positions(places) + first  # (…, width)
        return self.dropout(self.norm(vectors), training=training)


class SelfAttention(keras.layers.Layer):
    """softmax(QKᵀ / √d) V for each head (Vaswani et al. 2017, eq. 1), and its output matrix."""

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        width, dtype = attended_width(config), kwargs.get("dtype")
        self.heads = config["num_attention_heads"]
        self.query = dense(width, config, "query", dtype)
        self.key = dense(width, config, "key", dtype)
        self.value = dense(width, config, "value", dtype)
        self.output_dense = dense(config["hidden_size"], config, "output", dtype)
        self.rate = config["attention_probs_dropout_prob"]
        self.dropout = keras.layers.Dropout(self.rate, dtype=dtype)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the four matrices; (windows, length, width)."""
        for part in (self.query, self.key, self.value):
            part.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.query.units))
        self.built = True

    def call(
        self,
        rows: Any,
        real: Any,
        packing: Any,
        first_only: bool = False,
        training: bool = False,
    ) -> Any:
        """Let each piece look at all of its window.

        Args:
            rows: The pieces' vectors.
            real: Whether a piece is one; shape (windows, length).
            packing: How the rows lie in the windows.
            first_only: Whether only each window's first piece looks.
            training: Drop attention weights.

        Returns:
            Shaped like the rows, or (windows, 1, width).
        """
        q = self.query(packing.first(rows) if first_only else rows)  # (…, width)
        # (windows, length or 1, heads, width of a head)
        q = self._split(q if first_only else packing.pad(q))
        # Both (windows, length, heads, width of a head).
        k, v = (self._split(packing.pad(part(rows))) for part in (self.key, self.value))
        seen = real[:, None, None, :]  # (windows, 1, 1, length)
        if training and self.rate:
            # (windows, heads, length or 1, length)
            scores = ops.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            weights = ops.softmax(ops.where(seen, scores, -1e9), axis=-1)
            found = ops.einsum("bhqk,bkhd->bqhd", self.dropout(weights, training=True), v)
        else:
            found = ops.dot_product_attention(q, k, v, mask=seen)
        shape = ops.shape(found)  # (windows, length or 1, heads, width of a head)
        # (windows, length or 1, width)
        found = ops.reshape(found, (shape[0], shape[1], self.heads * found.shape[3]))
        return self.output_dense(found if first_only else packing.pack(found))

    def _split(self, vectors: Any) -> Any:
        shape = ops.shape(vectors)
        return ops.reshape(vectors, (shape[0], shape[1], self.heads, shape[2] // self.heads))


class Block(keras.layers.Layer):
    """One transformer layer: attention, then two dense layers, each added and normalised.

    x = norm(x + attention(x)); x = norm(x + W₂ activation(W₁ x + b₁) + b₂)
    (Vaswani et al. 2017, sections 3.1 and 3.3, eq. 2).
    """

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype = kwargs.get("dtype")
        self.attention = SelfAttention(config, name="attention", dtype=dtype)
        self.attention_norm = norm(config, "attention_norm", dtype)
        self.inner = dense(config["intermediate_size"], config, "inner", dtype)
        self.activation = activation_of(config)
        self.outer = dense(config["hidden_size"], config, "outer", dtype)
        self.norm = norm(config, "norm", dtype)
        self.dropout = keras.layers.Dropout(config["hidden_dropout_prob"], dtype=dtype)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make all parts; (windows, length, width)."""
        for layer in (self.attention, self.attention_norm, self.inner, self.norm):
            layer.build(input_shape)
        self.outer.build((*input_shape[:-1], self.inner.units))
        self.built = True

    def call(
        self,
        rows: Any,
        real: Any,
        packing: Any,
        first_only: bool = False,
        training: bool = False,
    ) -> Any:
        """Rows to rows of the next layer, or to (windows, 1, width) of the first pieces alone."""
        queries = packing.first(rows) if first_only else rows  # (…, width)
        found = self.attention(
            rows, real, packing=packing, first_only=first_only, training=training
        )
        # All (…, width), but for the inner ones: (…, intermediate).
        queries = self.attention_norm(queries + self.dropout(found, training=training))
        thought = self.outer(self.activation(self.inner(queries)))
        return self.norm(queries + self.dropout(thought, training=training))


@keras.saving.register_keras_serializable("spacy_bert_zh")
class Bert(keras.Model):
    """BERT with one vector a window.

    Args:
        config: The keys of ``config.json``.
        pooling: ``cls`` is the last hidden state of [CLS]; ``pooler`` that through BERT's
            pretrained tanh layer; ``mean`` the mean over all pieces of a window.
        dtype: A Keras dtype policy, such as ``mixed_bfloat16``.
        remat: Compute each layer again for its gradient instead of keeping it: less memory.
        packed: Compute without padding but in attention, see `Packing`: faster where windows of
            one batch differ in length.

    Raises:
        BertZhError: The config asks for what is not here.
    """

    def __init__(
        self,
        config: dict[str, Any],
        pooling: Pooling = "cls",
        dtype: str = "float32",
        remat: bool = False,
        packed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        config = {**DEFAULTS, **config}
        if not config.get("head_dim") and config["hidden_size"] % config["num_attention_heads"]:
            raise BertZhError(
                f"config.json: hidden_size = {config['hidden_size']} is no multiple of "
                f"num_attention_heads = {config['num_attention_heads']}"
            )
        self.config = config
        self.pooling = pooling
        self.remat = remat
        self.packed = packed
        self.embeddings = Embeddings(config, name="embeddings", dtype=dtype)
        layers = range(config["num_hidden_layers"])
        self.blocks = [Block(config, name=f"block_{i}", dtype=dtype) for i in layers]
        self.pooler = None
        if pooling == "pooler":
            self.pooler = dense(config["hidden_size"], config, "pooler", dtype)
            self.pooler.build((None, config["hidden_size"]))
        self.embeddings.build((None, None))
        self.embeddings_project = None
        if (width := embedded_width(config)) != config["hidden_size"]:  # an ELECTRA
            self.embeddings_project = dense(
                config["hidden_size"], config, "embeddings_project", dtype
            )
            self.embeddings_project.build((None, width))
        for block in self.blocks:
            block.build((None, None, config["hidden_size"]))
        self.built = True

    def embed(self, ids: Any, packing: Any, training: bool = False) -> Any:
        """Embeddings of the pieces, as rows."""
        places = ops.broadcast_to(  # (windows, length)
            ops.arange(ops.shape(ids)[1], dtype="int32")[None], ops.shape(ids)
        )
        # (pieces, embedding size), or padded (windows, length, embedding size)
        rows = self.embeddings(packing.pack(ids), packing.pack(places), training=training)
        if self.embeddings_project is not None:
            rows = self.embeddings_project(rows)  # (…, width)
        return rows

    def encode(self, ids: Any, lengths: Any, training: bool = False, noise: Any = None) -> Any:
        """Last hidden states.

        Args:
            ids: Word pieces, padded with anything; shape (windows, length).
            lengths: Pieces of each window; shape (windows,).
            training: Use dropout.
            noise: What is added to the embeddings, shaped like rows, or None.

        Returns:
            Shape (windows, length, width), or (windows, 1, width) where only the first piece
            counts; undefined at padded pieces.
        """
        real = _real(ids, lengths)  # (windows, length)
        packing = Packing(real) if self.packed else Padded()
        rows = self.embed(ids, packing, training)
        if noise is not None:
            rows = rows + ops.cast(noise, rows.dtype)
        first_only = False
        for block in self.blocks:
            first_only = self.pooling in ("cls", "pooler") and block is self.blocks[-1]
            call: Any = partial(
                block.__call__,
                real=real,
                packing=packing,
                first_only=first_only,
                training=training,
            )
            rows = (keras.remat(call) if self.remat and training else call)(rows)
        return rows if first_only else packing.pad(rows)

    def call(self, ids: Any, lengths: Any, training: bool = False, noise: Any = None) -> Any:
        """One float32 vector for each window, shape (windows, width); arguments of `encode`."""
        # (windows, length or 1, width)
        hidden = self.encode(ids, lengths, training=training, noise=noise)
        if self.pooling == "mean":
            # (windows, length, 1)
            real = ops.cast(_real(ids, lengths), "float32")[:, :, None]
            return ops.sum(ops.cast(hidden, "float32") * real, axis=1) / ops.sum(real, axis=1)
        first = hidden[:, 0]  # (windows, width)
        if self.pooler is not None:
            first = ops.tanh(self.pooler(first))
        return ops.cast(first, "float32")

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' own files."""
        return {
            **super().get_config(),
            "config": dict(self.config),
            "pooling": self.pooling,
            "dtype": self.dtype_policy.name,
            "remat": self.remat,
            "packed": self.packed,
        }


DEFAULTS = {
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
}
"""What transformers takes where config.json says nothing."""


def activation_of(config: dict[str, Any]) -> Any:
    """The function between the two dense layers of a block.

    Raises:
        BertZhError: It is not known here.
    """
    if config["hidden_act"] not in _ACTIVATIONS:
        raise BertZhError(
            f"config.json: hidden_act = '{config['hidden_act']}' is not known, only "
            + ", ".join(sorted(_ACTIVATIONS))
        )
    return _ACTIVATIONS[config["hidden_act"]]


def dense(units: int, config: dict[str, Any], name: str, dtype: Any) -> Any:
    """A linear layer, initialised as BERT's are."""
    return keras.layers.Dense(units, kernel_initializer=_random(config), name=name, dtype=dtype)


def norm(config: dict[str, Any], name: str, dtype: Any) -> Any:
    """A layer norm (Ba et al. 2016) with BERT's epsilon."""
    return keras.layers.LayerNormalization(epsilon=config["layer_norm_eps"], name=name, dtype=dtype)


def _real(ids: Any, lengths: Any) -> Any:
    return ops.arange(ops.shape(ids)[1], dtype="int32") < ops.cast(lengths, "int32")[:, None]


def _random(config: dict[str, Any]) -> Any:
    return keras.initializers.TruncatedNormal(stddev=config["initializer_range"])


def _table(rows: int, width: int, config: dict[str, Any], name: str, dtype: Any) -> Any:
    return keras.layers.Embedding(rows, width, _random(config), name=name, dtype=dtype)
