"""BERT's encoder over windows laid end to end: no padding but inside attention on a GPU."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from spacy_bert_zh.backbones.torch.attention import group_windows
from spacy_bert_zh.pieces import Batch


def positions(batch: Batch, device: torch.device) -> torch.Tensor:
    """Of the pieces in their windows; shape (pieces,)."""
    starts = np.cumsum(batch.lengths) - batch.lengths  # (windows,)
    return torch.from_numpy(np.arange(len(batch.ids)) - np.repeat(starts, batch.lengths)).to(device)


def embed(bert: Any, batch: Batch) -> torch.Tensor:
    """The sum of piece, position and segment embeddings; shape (pieces, hidden size).

    Those of an ELECTRA are narrower, and widened by a matrix (Clark et al. 2020, section 3.2).
    """
    ids = torch.from_numpy(batch.ids).to(bert.device)
    found: torch.Tensor = bert.embed(ids, positions(batch, bert.device))
    return found


def encode(
    bert: Any,
    batch: Batch,
    *,
    embedded: torch.Tensor | None = None,
    first_only: bool = False,
    checkpointing: bool = False,
) -> torch.Tensor:
    """Hidden states of the last layer (Devlin et al. 2019, section 3).

    Args:
        bert: A `layers.Bert`.
        batch: The windows.
        embedded: What takes the place of the pieces' embeddings; shape (pieces, hidden size).
        first_only: Whether only each window's first piece is wanted: its keys and values are
            those of all pieces, the rest of the last layer is computed for it alone.
        checkpointing: Whether gradients compute each layer once more instead of keeping it.

    Returns:
        Shape (pieces, hidden size), or (windows, hidden size) of the first pieces.
    """
    hidden = embed(bert, batch) if embedded is None else embedded  # (pieces, hidden)
    # Once for all layers, as each would copy its rows for it: zeros behind the pieces.
    more = _missing(len(hidden)) if WIDE and _has_onednn(hidden) else 0
    hidden = functional.pad(hidden, (0, 0, 0, more)) if more else hidden
    groups = group_windows(batch.lengths, hidden.device)
    # (windows,)
    starts = torch.from_numpy(np.cumsum(batch.lengths) - batch.lengths).to(hidden.device)
    layers = bert.encoder.layer
    needed = functional.pad(positions(batch, hidden.device), (0, more)), bert.relative()
    for layer in layers:
        firsts = starts if first_only and layer is layers[-1] else None
        if checkpointing and torch.is_grad_enabled():
            hidden = checkpoint(layer, hidden, groups, firsts, *needed, use_reentrant=False)
        else:
            hidden = layer(hidden, groups, firsts, *needed)
    hidden = hidden[: len(batch.ids)] if more and not first_only else hidden
    return bert.final_norm(hidden) if hasattr(bert, "final_norm") else hidden


def linear(part: nn.Linear, rows: torch.Tensor, activation: Any = None) -> torch.Tensor:
    """A linear layer and what follows it; by oneDNN at once where that is the faster way."""
    fused = activation is functional.gelu
    if not _has_onednn(rows) or not (WIDE or (fused and _is_narrow(rows))):
        rows = part(rows)
        return rows if activation is None else activation(rows)
    count = len(rows)
    more = _missing(count)
    rows = functional.pad(rows, (0, 0, 0, more)) if more else rows
    rows = torch.ops.mkldnn._linear_pointwise(
        rows, part.weight, part.bias, "gelu" if fused else "none", [], "none" if fused else ""
    )
    rows = rows[:count] if more else rows
    return rows if fused or activation is None else activation(rows)


# oneDNN has the wide instructions of CPUs for which torch's default library hasn't. With narrow
# ones it is the slower of the two, but it has a faster GELU, which counts in a small network.
WIDE = torch.backends.cpu.get_cpu_capability().startswith("AVX512")


MANY = 256
"""Rows from which on few more of them take time."""


def _missing(count: int) -> int:
    """Rows up to the next number that oneDNN may see: two in an octave, and eight of many rows.

    It keeps a kernel and its buffers for each number of rows: the memory of a process that reads
    texts of all lengths would grow for tens of thousands of them.
    """
    step = 2 ** max(0, count.bit_length() - (4 if count >= MANY else 2))
    return -count % step


def _is_narrow(rows: torch.Tensor) -> bool:
    return rows.shape[0] >= 256 and rows.shape[1] <= 512


def _has_onednn(rows: torch.Tensor) -> bool:
    return (
        rows.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
