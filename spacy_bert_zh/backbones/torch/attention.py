"""Attention within windows that lie end to end: those of a length together, in one call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spacy_bert_zh.pieces import MAX_BATCH_PIECES, batches

LEARNING_PADDING = 96
"""Pieces of padding that one call of attention less is worth on a CPU that learns: each call has a
way back then."""


@dataclass(frozen=True)
class Group:
    """Neighbouring windows that attend in one call.

    Attributes:
        pieces: How many pieces they have.
        windows: How many they are.
        longest: Pieces of the longest.
        places: For each piece, its place in the padded (windows × longest); None if all
            windows are equally long.
        mask: True where there is a piece; shape (windows, 1, 1, longest), or None.
    """

    pieces: int
    windows: int
    longest: int
    places: torch.Tensor | None = None
    mask: torch.Tensor | None = None


Bias = Callable[[torch.Tensor, torch.Tensor, Group], torch.Tensor | None]
"""Makes of queries and keys, (windows, heads, length, width of a head), what is added to their
scores, in place of the group's mask."""


def most_padding(device: torch.device) -> int:
    """What one call of attention less is worth: on a GPU all the padding there can be."""
    if device.type == "cpu":
        return LEARNING_PADDING if torch.is_grad_enabled() else 0
    return MAX_BATCH_PIECES


def group_windows(lengths: NDArray[np.int64], device: torch.device) -> list[Group]:
    """Divide the windows of a batch into those that attend together."""
    groups = []
    for indices in batches(lengths.tolist(), MAX_BATCH_PIECES, most_padding(device)):
        part = lengths[indices]
        pieces, longest = int(part.sum()), int(part[-1])
        if part[0] == longest:
            groups.append(Group(pieces, len(part), longest))
            continue
        real = np.arange(longest) < part[:, None]
        places = torch.from_numpy(np.flatnonzero(real)).to(device)
        mask = torch.from_numpy(real).to(device)[:, None, None]
        groups.append(Group(pieces, len(part), longest, places, mask))
    return groups


def attend(
    attention: Any,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    groups: list[Group],
    every: bool,
    bias: Bias | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """Scaled dot-product attention within each window (Vaswani et al. 2017, eq. 1).

    Args:
        attention: Number of heads, and dropout.
        queries: Of all pieces, shape (pieces, hidden size), and rows behind them that belong to no
            window and come back as they are; or of the windows' first ones, shape (windows, hidden
            size).
        keys: Of all pieces, shape (pieces, hidden size).
        values: Same.
        groups: Which windows attend together.
        every: Whether each piece asks, not the first one alone.
        bias: What is added to the scores, if it isn't the groups' mask.
        scale: Of the scores; None is one by the root of a head's width.

    Returns:
        Shaped like `queries`.
    """
    pieces = [group.pieces for group in groups]
    asking = pieces if every else [group.windows for group in groups]
    # Not slices: the gradient of each of them would be as long as that of the whole.
    *questions, rest = queries.split([*asking, len(queries) - sum(asking)])
    *key_rows, _ = keys.split([*pieces, len(keys) - sum(pieces)])
    *value_rows, _ = values.split([*pieces, len(values) - sum(pieces)])
    parts = zip(groups, questions, key_rows, value_rows, strict=True)
    found = [_attend(attention, *part, every, bias, scale) for part in parts]
    found = [*found, rest] if len(rest) else found
    return found[0] if len(found) == 1 else torch.cat(found)


def _attend(
    attention: Any,
    group: Group,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    every: bool,
    bias: Bias | None,
    scale: float | None,
) -> torch.Tensor:
    def heads(rows: torch.Tensor, length: int) -> torch.Tensor:
        if group.places is not None and length > 1:
            padded = rows.new_zeros(group.windows * length, rows.shape[1])
            rows = padded.index_copy(0, group.places, rows)  # (windows · length, hidden)
        # (windows, heads, length, width of a head)
        return rows.view(group.windows, length, attention.num_attention_heads, -1).transpose(1, 2)

    length = group.longest if every else 1
    # (windows, heads, length, width of a head)
    query, key = heads(queries, length), heads(keys, group.longest)
    context = _product(
        query,
        key,
        heads(values, group.longest),
        bias(query, key, group) if bias else group.mask,
        attention.dropout.p if attention.training else 0.0,
        scale,
    )
    rows = context.transpose(1, 2).reshape(group.windows * length, -1)  # (windows · length, hidden)
    return rows if group.places is None or not every else rows[group.places]


def _product(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scale: float | None,
) -> torch.Tensor:
    """Attention; where a CPU learns in bfloat16 by plain products.

    The gradient of torch's fused attention takes four times as long there.
    """
    on_cpu = query.device.type == "cpu"
    if not (on_cpu and query.dtype == torch.bfloat16 and torch.is_grad_enabled()):
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query * scale) @ key.transpose(-1, -2)  # (windows, heads, queries, keys)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, float("-inf"))
    elif mask is not None:
        scores = scores + mask
    return functional.dropout(scores.softmax(-1), dropout).to(value.dtype) @ value
