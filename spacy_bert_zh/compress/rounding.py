"""Coarse weights: eight bits still, but of few values, which a wheel packs smaller."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.loading import shims_of
from spacy_bert_zh.textcat import quantize_table

STEP, TABLE_STEP = 0.36, 0.5
"""Of the network's matrices, and of the n-grams' table: chosen on half of THUCNews-10's dev."""
WORDS = "embeddings.word_embeddings.weight"


def round_weights(pipe: TextCategorizer) -> None:
    """Round a text classifier's weights to few values; it computes in floats as before.

    Exported in eight bits it has as few, and DEFLATE, by which wheels are packed, takes as many
    bits for a weight as its values tell. The n-grams' table is in eight bits at once.

    Args:
        pipe: The classifier; its networks are exchanged.
    """
    shims: list[Any] = shims_of(pipe.model)
    for shim in shims:
        shim.fill(coarsen(shim.checkpoint()))
    for node in pipe.model.walk():
        if node.name == "ngram_linear":
            quantize_table(node, TABLE_STEP)


def coarsen(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint with rounded matrices.

    Each row has a step of its own, a share of how far its weights spread: uniform steps without
    clipping are what packs best at a given error (Gish & Pierce 1968, Asymptotically Efficient
    Quantizing, IEEE Transactions on Information Theory 14).
    """
    weights = {
        name: _round(tensor) if _is_large(name, tensor) else tensor
        for name, tensor in checkpoint.weights.items()
    }
    return replace(checkpoint, weights=weights)


def _is_large(name: str, tensor: NDArray[np.float32]) -> bool:
    """Whether an export keeps it in eight bits."""
    return name == WORDS or (tensor.ndim == 2 and name.startswith("encoder."))


def _round(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    step = STEP * np.maximum(np.sqrt((matrix**2).mean(axis=1, keepdims=True)), 1e-8)
    return (np.rint(matrix / step) * step).astype(np.float32)
