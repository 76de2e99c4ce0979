"""BERT (Devlin et al. 2019) in Keras 3 layers, without torch or transformers.

Nothing here is TensorFlow's own, only Keras' operations. Shapes are written (windows, length,
width); a padded piece is one at or beyond its window's length.
"""

import math
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from spacy_bert_zh.backbones.base import Pooling, check_weights
from spacy_bert_zh.checkpoint import Checkpoint
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
        width, dtype = config["hidden_size"], kwargs.get("dtype")
        self.words = _table(config["vocab_size"], width, config, "words", dtype)
        self.positions = _table(
            config["max_position_embeddings"], width, config, "positions", dtype
        )
        self.segments = _table(config["type_vocab_size"], width, config, "segments", dtype)
        self.norm = _norm(config, "norm", dtype)
        self.dropout = keras.layers.Dropout(config["hidden_dropout_prob"], dtype=dtype)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the three tables and the norm; ids of shape (windows, length)."""
        for table in (self.words, self.positions, self.segments):
            table.build(input_shape)
        self.norm.build((*input_shape, self.words.output_dim))
        self.built = True

    def call(self, ids: Any, training: bool = False) -> Any:
        """Ids of shape (windows, length) to vectors of shape (windows, length, width)."""
        places = ops.arange(ops.shape(ids)[1])
        first = ops.zeros_like(ids[:1, :1])
        vectors = self.words(ids) + self.positions(places) + self.segments(first)
        return self.dropout(self.norm(vectors), training=training)


class SelfAttention(keras.layers.Layer):
    """softmax(QKᵀ / √d) V for each head (Vaswani et al. 2017, eq. 1), and its output matrix."""

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        width, dtype = config["hidden_size"], kwargs.get("dtype")
        self.heads = config["num_attention_heads"]
        self.query = _dense(width, config, "query", dtype)
        self.key = _dense(width, config, "key", dtype)
        self.value = _dense(width, config, "value", dtype)
        self.output_dense = _dense(width, config, "output", dtype)
        self.rate = config["attention_probs_dropout_prob"]
        self.dropout = keras.layers.Dropout(self.rate, dtype=dtype)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the four matrices; (windows, length, width)."""
        for dense in (self.query, self.key, self.value, self.output_dense):
            dense.build(input_shape)
        self.built = True

    def call(self, queries: Any, vectors: Any, mask: Any, training: bool = False) -> Any:
        """Let each query look at the vectors of its window.

        Args:
            queries: Shape (windows, queries, width).
            vectors: Shape (windows, length, width).
            mask: Whether a piece is real; shape (windows, length).
            training: Drop attention weights.

        Returns:
            Shape (windows, queries, width).
        """
        q, k = self._split(self.query(queries)), self._split(self.key(vectors))
        v = self._split(self.value(vectors))
        seen = mask[:, None, None, :]
        if training and self.rate:
            scores = ops.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            weights = ops.softmax(ops.where(seen, scores, -1e9), axis=-1)
            found = ops.einsum("bhqk,bkhd->bqhd", self.dropout(weights, training=True), v)
        else:
            found = ops.dot_product_attention(q, k, v, mask=seen)
        return self.output_dense(ops.reshape(found, ops.shape(queries)))

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
        self.attention_norm = _norm(config, "attention_norm", dtype)
        self.inner = _dense(config["intermediate_size"], config, "inner", dtype)
        self.activation = _ACTIVATIONS[config["hidden_act"]]
        self.outer = _dense(config["hidden_size"], config, "outer", dtype)
        self.norm = _norm(config, "norm", dtype)
        self.dropout = keras.layers.Dropout(config["hidden_dropout_prob"], dtype=dtype)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make all parts; (windows, length, width)."""
        for layer in (self.attention, self.attention_norm, self.inner, self.norm):
            layer.build(input_shape)
        self.outer.build((*input_shape[:-1], self.inner.units))
        self.built = True

    def call(
        self, vectors: Any, mask: Any, first_only: bool = False, training: bool = False
    ) -> Any:
        """Vectors of shape (windows, length, width) to the same, or the first piece's alone."""
        queries = vectors[:, :1] if first_only else vectors
        found = self.attention(queries, vectors, mask, training=training)
        queries = self.attention_norm(queries + self.dropout(found, training=training))
        thought = self.outer(self.activation(self.inner(queries)))
        return self.norm(queries + self.dropout(thought, training=training))


class Bert(keras.Model):
    """BERT with one vector a window.

    Args:
        config: The keys of ``config.json``.
        pooling: ``cls`` is the last hidden state of [CLS]; ``pooler`` that through BERT's
            pretrained tanh layer; ``mean`` the mean over all pieces of a window.
        dtype: A Keras dtype policy, such as ``mixed_bfloat16``.
        remat: Compute each layer again for its gradient instead of keeping it: less memory.

    Raises:
        BertZhError: The config asks for what is not here.
    """

    def __init__(
        self,
        config: dict[str, Any],
        pooling: Pooling = "cls",
        dtype: str = "float32",
        remat: bool = False,
    ) -> None:
        super().__init__(dtype=dtype)
        config = {**_DEFAULTS, **config}
        if config["hidden_act"] not in _ACTIVATIONS:
            raise BertZhError(
                f"config.json: hidden_act = '{config['hidden_act']}' is not known, only "
                + ", ".join(sorted(_ACTIVATIONS))
            )
        if config["hidden_size"] % config["num_attention_heads"]:
            raise BertZhError(
                f"config.json: hidden_size = {config['hidden_size']} is no multiple of "
                f"num_attention_heads = {config['num_attention_heads']}"
            )
        self.pooling = pooling
        self.remat = remat
        self.embeddings = Embeddings(config, name="embeddings", dtype=dtype)
        layers = range(config["num_hidden_layers"])
        self.blocks = [Block(config, name=f"block_{i}", dtype=dtype) for i in layers]
        self.pooler = None
        if pooling == "pooler":
            self.pooler = _dense(config["hidden_size"], config, "pooler", dtype)
            self.pooler.build((None, config["hidden_size"]))
        self.embeddings.build((None, None))
        for block in self.blocks:
            block.build((None, None, config["hidden_size"]))
        self.built = True

    def encode(self, ids: Any, lengths: Any, training: bool = False) -> Any:
        """Last hidden states.

        Args:
            ids: Word pieces, padded with anything; shape (windows, length).
            lengths: Pieces of each window; shape (windows,).
            training: Use dropout.

        Returns:
            Shape (windows, length, width), or (windows, 1, width) where only the first piece
            counts; undefined at padded pieces.
        """
        mask = _mask(ids, lengths)
        vectors = self.embeddings(ids, training=training)
        for block in self.blocks:
            first_only = self.pooling != "mean" and block is self.blocks[-1]
            call: Any = partial(block.__call__, mask=mask, first_only=first_only, training=training)
            vectors = (keras.remat(call) if self.remat and training else call)(vectors)
        return vectors

    def call(self, ids: Any, lengths: Any, training: bool = False) -> Any:
        """One float32 vector for each window, shape (windows, width); arguments of `encode`."""
        hidden = self.encode(ids, lengths, training=training)
        if self.pooling == "mean":
            real = ops.cast(_mask(ids, lengths), "float32")[:, :, None]
            return ops.sum(ops.cast(hidden, "float32") * real, axis=1) / ops.sum(real, axis=1)
        first = hidden[:, 0]
        if self.pooler is not None:
            first = ops.tanh(self.pooler(first))
        return ops.cast(first, "float32")


_DEFAULTS = {
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


def build_network(
    checkpoint: Checkpoint, pooling: Pooling, dtype: str = "float32", remat: bool = False
) -> Bert:
    """Build the network and fill it with the checkpoint's weights; arguments of `Bert`.

    Raises:
        BertZhError: The config asks for what is not here, or weights are missing or have the
            wrong shape; it names them.
    """
    bert = Bert(checkpoint.config, pooling, dtype, remat)
    found = variables(bert)
    shapes = {name: _torch_shape(name, variable) for name, variable in found.items()}
    check_weights(checkpoint, shapes, pooling)
    for name, variable in found.items():
        variable.assign(to_torch_layout(name, checkpoint.weights[name]))
    return bert


def variables(bert: Bert) -> dict[str, Any]:
    """The Keras variables under the names of `transformers.BertModel`'s tensors.

    A dense kernel has the shape (inputs, outputs), torch's the other way round: see
    `to_torch_layout`.
    """
    found: dict[str, Any] = {}
    e = bert.embeddings
    for name, table in (("word", e.words), ("position", e.positions), ("token_type", e.segments)):
        found[f"embeddings.{name}_embeddings.weight"] = table.embeddings
    _name(found, "embeddings.LayerNorm", e.norm)
    for i, block in enumerate(bert.blocks):
        parts = {
            "attention.self.query": block.attention.query,
            "attention.self.key": block.attention.key,
            "attention.self.value": block.attention.value,
            "attention.output.dense": block.attention.output_dense,
            "attention.output.LayerNorm": block.attention_norm,
            "intermediate.dense": block.inner,
            "output.dense": block.outer,
            "output.LayerNorm": block.norm,
        }
        for name, layer in parts.items():
            _name(found, f"encoder.layer.{i}.{name}", layer)
    if bert.pooler is not None:
        _name(found, "pooler.dense", bert.pooler)
    return found


def to_torch_layout(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Turn a tensor of `variables` into torch's layout, or back: dense kernels are transposed."""
    return array.T if array.ndim == 2 and not name.startswith("embeddings.") else array


def extract_weights(bert: Bert) -> dict[str, NDArray[np.float32]]:
    """The network's weights as float32 arrays, named and shaped as in `BertModel`."""
    return {
        name: np.ascontiguousarray(
            to_torch_layout(name, ops.convert_to_numpy(variable)).astype("float32")
        )
        for name, variable in variables(bert).items()
    }


def _torch_shape(name: str, variable: Any) -> tuple[int, ...]:
    dense = len(variable.shape) == 2 and not name.startswith("embeddings.")
    return tuple(variable.shape)[::-1] if dense else tuple(variable.shape)


def _name(found: dict[str, Any], name: str, layer: Any) -> None:
    dense = isinstance(layer, keras.layers.Dense)
    found[f"{name}.weight"] = layer.kernel if dense else layer.gamma
    found[f"{name}.bias"] = layer.bias if dense else layer.beta


def _mask(ids: Any, lengths: Any) -> Any:
    return ops.arange(ops.shape(ids)[1])[None, :] < lengths[:, None]


def _random(config: dict[str, Any]) -> Any:
    return keras.initializers.TruncatedNormal(stddev=config["initializer_range"])


def _table(rows: int, width: int, config: dict[str, Any], name: str, dtype: Any) -> Any:
    return keras.layers.Embedding(rows, width, _random(config), name=name, dtype=dtype)


def _dense(units: int, config: dict[str, Any], name: str, dtype: Any) -> Any:
    return keras.layers.Dense(units, kernel_initializer=_random(config), name=name, dtype=dtype)


def _norm(config: dict[str, Any], name: str, dtype: Any) -> Any:
    return keras.layers.LayerNormalization(epsilon=config["layer_norm_eps"], name=name, dtype=dtype)
