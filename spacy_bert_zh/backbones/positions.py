"""Positions that attention sees, as tables: rotary ones, relative ones, those out of reach."""

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.checkpoint import Structure

FAR = -1e4
"""Added to a score, it leaves nothing of it by softmax."""


def rotary(
    parts: Structure, layer: int, positions: int, width: int, heads: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """What turns rows by their position (Su et al. 2021, eq. 34): x · cos + x[swap] · sin.

    Args:
        parts: Of the network.
        layer: Its number.
        positions: How many there can be.
        width: Of a row.
        heads: Of which a row consists.

    Returns:
        Cosines and sines with their signs, both of shape (positions, width), and for each place
        in a row that of its partner, shape (width,).
    """
    size = width // heads
    speeds = parts.rotary[layer] ** -(np.arange(0, size, 2, dtype=np.float64) / size)
    if not parts.interleaved:  # as transformers computes them
        base = np.float32(parts.rotary[layer])
        speeds = 1 / base ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    angles = np.arange(positions, dtype=speeds.dtype)[:, None] * speeds  # (positions, size / 2)
    places = np.arange(size)
    if parts.interleaved:
        partner, first = places ^ 1, places % 2 == 0
        angles = np.repeat(angles, 2, axis=1)  # (positions, size)
    else:
        partner, first = (places + size // 2) % size, places < size // 2
        angles = np.tile(angles, 2)
    cos, sin = np.cos(angles), np.sin(angles) * np.where(first, -1, 1)
    swap = (np.arange(heads)[:, None] * size + partner).ravel()
    return (
        np.tile(cos, heads).astype(np.float32),
        np.tile(sin, heads).astype(np.float32),
        swap.astype(np.int64),
    )


def buckets(parts: Structure, positions: int) -> NDArray[np.int64]:
    """The row of the relative embeddings for each distance (He et al. 2021, section 3.1).

    Distances are exact up to half of the buckets, and beyond by their logarithm.

    Args:
        parts: Of the network.
        positions: How many there can be.

    Returns:
        For query minus key + positions - 1; shape (2 · positions - 1,).
    """
    distances = np.arange(1 - positions, positions)
    found = distances
    if parts.buckets:
        middle = parts.buckets // 2
        far = np.maximum(np.abs(distances), middle).astype(np.float32) / np.float32(middle)
        # In float32, for transformers rounds the same quotient up.
        steps = np.log(far) / np.log(np.float32((parts.furthest - 1) / middle))
        log = np.ceil(steps * np.float32(middle - 1)) + middle
        found = np.where(np.abs(distances) <= middle, distances, log * np.sign(distances))
    rows = np.clip(found.astype(np.int64) + parts.span, 0, 2 * parts.span - 1)
    return np.asarray(rows, dtype=np.int64)


def out_of_reach(reach: int, positions: int) -> NDArray[np.float32]:
    """`FAR` for distances greater than `reach`, else 0; indexed as `buckets`."""
    distances = np.abs(np.arange(1 - positions, positions))
    return np.where(distances <= reach, 0, FAR).astype(np.float32)
