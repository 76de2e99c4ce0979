"""Coarse weights: eight bits still, but of few values, which a wheel packs smaller."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.loading import shims_of
from spacy_bert_zh.textcat import quantize_table

LEVELS, WORD_LEVELS, TABLE_STEP = 11, 7, 0.5
"""Steps from 0 to the largest weight of a row, of which eight bits have 63; the third is of the
n-grams' table, see `quantize_table`. Chosen on half of THUCNews-10's dev."""
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

    Each row has as many steps up to its largest weight, so that an export, which scales rows by
    that, has the same few whole numbers in all of them.
    """
    weights = {
        name: _round(tensor, WORD_LEVELS if name == WORDS else LEVELS)
        if _is_large(name, tensor)
        else tensor
        for name, tensor in checkpoint.weights.items()
    }
    return replace(checkpoint, weights=weights)


def _is_large(name: str, tensor: NDArray[np.float32]) -> bool:
    """Whether an export keeps it in eight bits."""
    return name == WORDS or (tensor.ndim == 2 and name.startswith("encoder."))


def _round(matrix: NDArray[np.float32], levels: int) -> NDArray[np.float32]:
    step = np.maximum(abs(matrix).max(axis=1, keepdims=True), 1e-8) / levels
    return (np.rint(matrix / step) * step).astype(np.float32)
