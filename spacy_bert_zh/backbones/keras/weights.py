"""Weights of a checkpoint into the Keras networks, and out again."""

from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from spacy_bert_zh.backbones.base import check_weights
from spacy_bert_zh.backbones.keras.bert import Bert
from spacy_bert_zh.backbones.keras.heads import MaskedLM
from spacy_bert_zh.backbones.settings import Pooling
from spacy_bert_zh.checkpoint import Checkpoint, check_shapes, structure
from spacy_bert_zh.errors import BertZhError

Network = Bert | MaskedLM
AnyNetwork = TypeVar("AnyNetwork", Bert, MaskedLM)


def build_network(
    checkpoint: Checkpoint,
    pooling: Pooling,
    dtype: str = "float32",
    remat: bool = False,
    packed: bool = False,
) -> Bert:
    """Build the network and fill it with the checkpoint's weights; arguments of `Bert`.

    Raises:
        BertZhError: The config asks for what is not here, or weights are missing or have the
            wrong shape; it names them.
    """
    _check_family(checkpoint)
    check_weights(checkpoint, pooling)
    return fill(Bert(checkpoint.config, pooling, dtype, remat, packed), checkpoint)


def build_masked_lm(checkpoint: Checkpoint, dtype: str = "float32") -> MaskedLM:
    """Build BERT with its head of masked language modelling, filled; see `build_network`."""
    _check_family(checkpoint)
    check_weights(checkpoint, "mean")
    return fill(MaskedLM(checkpoint.config, dtype), checkpoint)


def _check_family(checkpoint: Checkpoint) -> None:
    if structure(checkpoint.config):
        raise BertZhError(
            f"Keras has no {checkpoint.config['model_type']}, only BERT and those relatives that "
            "become one: take spacy_bert_zh.TorchBackbone.v1 or OnnxBackbone.v1"
        )


def fill(network: AnyNetwork, checkpoint: Checkpoint) -> AnyNetwork:
    """Fill a network with a checkpoint's weights; see `build_network`."""
    found = variables(network)
    shapes = {name: tensor.shape for name, tensor in checkpoint.weights.items()}
    expected = {name: _torch_shape(name, variable) for name, variable in found.items()}
    check_shapes(shapes, expected, "The weights don't fit config.json")
    for name, variable in found.items():
        variable.assign(to_torch_layout(name, checkpoint.weights[name]))
    return network


def variables(network: Network) -> dict[str, Any]:
    """The Keras variables under the names of `Checkpoint.weights`.

    A dense kernel has the shape (inputs, outputs), torch's the other way round: see
    `to_torch_layout`.
    """
    found: dict[str, Any] = {}
    bert = _bert(network)
    e = bert.embeddings
    for name, table in (("word", e.words), ("position", e.positions), ("token_type", e.segments)):
        found[f"embeddings.{name}_embeddings.weight"] = table.embeddings
    _name(found, "embeddings.LayerNorm", e.norm)
    if bert.embeddings_project is not None:
        _name(found, "embeddings_project", bert.embeddings_project)
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
    if isinstance(network, MaskedLM):
        _name(found, "cls.predictions.transform.dense", network.dense)
        _name(found, "cls.predictions.transform.LayerNorm", network.norm)
        found["cls.predictions.bias"] = network.bias
    return found


def to_torch_layout(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Turn a tensor of `variables` into torch's layout, or back: dense kernels are transposed."""
    return array.T if array.ndim == 2 and not name.startswith("embeddings.") else array


def extract_weights(network: Network) -> dict[str, NDArray[np.float32]]:
    """The network's weights as float32 arrays, named and shaped as in `Checkpoint.weights`."""
    return {
        name: np.ascontiguousarray(
            to_torch_layout(name, ops.convert_to_numpy(variable)).astype("float32")
        )
        for name, variable in variables(network).items()
    }


def _bert(network: Network) -> Bert:
    return network.bert if isinstance(network, MaskedLM) else network


def _torch_shape(name: str, variable: Any) -> tuple[int, ...]:
    dense = len(variable.shape) == 2 and not name.startswith("embeddings.")
    return tuple(variable.shape)[::-1] if dense else tuple(variable.shape)


def _name(found: dict[str, Any], name: str, layer: Any) -> None:
    dense = isinstance(layer, keras.layers.Dense)
    found[f"{name}.weight"] = layer.kernel if dense else layer.gamma
    found[f"{name}.bias"] = layer.bias if dense else layer.beta
