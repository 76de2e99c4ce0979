"""A narrower BERT: heads and inner neurons left out, the rest as it was."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.checkpoint.folder import Checkpoint
from spacy_bert_zh.checkpoint.shapes import attended_width
from spacy_bert_zh.checkpoint.structure import structure
from spacy_bert_zh.errors import BertZhError


class Kept(NamedTuple):
    """What of a layer stays, in the order in which it then stands.

    Attributes:
        heads: Numbers of heads; shape (heads,).
        neurons: Rows of the inner linear layer; shape (neurons,).
    """

    heads: NDArray[np.int64]
    neurons: NDArray[np.int64]


def prune(checkpoint: Checkpoint, kept: Sequence[Kept]) -> Checkpoint:
    """Leave heads and inner neurons out of a BERT (Michel et al. 2019, arXiv 1905.10650).

    What comes out computes what the whole did with the others at zero.

    Args:
        checkpoint: Of a BERT.
        kept: For each layer; all layers keep as many heads and as many neurons.

    Raises:
        BertZhError: The network is no BERT, or the layers would differ.
    """
    config = checkpoint.config
    if structure(config):
        raise BertZhError(
            f"A {config['model_type']} can't be made narrower: only a BERT has equal heads alone"
        )
    sizes = {(len(one.heads), len(one.neurons)) for one in kept}
    if len(kept) != config["num_hidden_layers"] or len(sizes) != 1:
        raise BertZhError("Each layer must keep as many heads and neurons as the others")
    ((heads, neurons),) = sizes
    width = attended_width(config) // config["num_attention_heads"]
    weights = dict(checkpoint.weights)
    for number, one in enumerate(kept):
        layer = f"encoder.layer.{number}"
        rows = (one.heads[:, None] * width + np.arange(width)).ravel()  # (heads · width,)
        for part in ("query", "key", "value"):
            _take(weights, f"{layer}.attention.self.{part}.weight", rows)
            _take(weights, f"{layer}.attention.self.{part}.bias", rows)
        _take(weights, f"{layer}.attention.output.dense.weight", rows, axis=1)
        _take(weights, f"{layer}.intermediate.dense.weight", one.neurons)
        _take(weights, f"{layer}.intermediate.dense.bias", one.neurons)
        _take(weights, f"{layer}.output.dense.weight", one.neurons, axis=1)
    narrower = {"num_attention_heads": heads, "head_dim": width, "intermediate_size": neurons}
    return replace(checkpoint, config={**config, **narrower}, weights=weights)


def _take(
    weights: dict[str, NDArray[np.float32]], name: str, places: NDArray[np.int64], axis: int = 0
) -> None:
    weights[name] = np.ascontiguousarray(weights[name].take(places, axis=axis))


def whole_heads(checkpoint: Checkpoint) -> Checkpoint:
    """The same network for others, who divide the hidden size among heads.

    The heads that were left out stand there again, as zeros.
    """
    config = {name: value for name, value in checkpoint.config.items() if name != "head_dim"}
    hidden, now = config["hidden_size"], attended_width(checkpoint.config)
    if now == hidden:
        return replace(checkpoint, config=config)
    config["num_attention_heads"] = hidden // checkpoint.config["head_dim"]
    weights = dict(checkpoint.weights)
    for name, tensor in weights.items():
        if ".attention.self." in name:
            weights[name] = np.pad(tensor, [(0, hidden - now), *[(0, 0)] * (tensor.ndim - 1)])
        elif name.endswith(".attention.output.dense.weight"):
            weights[name] = np.pad(tensor, [(0, 0), (0, hidden - now)])
    return replace(checkpoint, config=config, weights=weights)
