"""Near-duplicates: pairs of texts that share most of their character n-grams."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.reading.overlap import plain, runs

LEAST = 0.6
"""Resemblance of near-duplicates: shared n-grams by all n-grams of both (Broder 1997)."""
_SIZE = 3
_MOST = 256  # n-grams of a text: the smallest hashes stand for all (Broder 1997)
_CHUNK = 2_000

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def near_pairs(texts: Sequence[str]) -> Pairs:
    """Find all pairs of near-duplicates, by prefixes (Bayardo, Ma & Srikant 2007).

    Sorted by how rare they are, two sets with this resemblance have a common n-gram among the
    first of both; only pairs that do are compared.

    Returns:
        First and second row of each pair, first < second, and their resemblance from 0 to 1.
    """
    sets, prefixes = _matrices(texts)
    sizes = np.diff(sets.indptr)
    found: list[Pairs] = []
    for start in range(0, len(texts), _CHUNK):
        common = (prefixes[start : start + _CHUNK] @ prefixes.T).tocoo()
        first, second = common.row.astype(np.int64) + start, common.col.astype(np.int64)
        keep = first < second
        first, second = first[keep], second[keep]
        for part in range(0, len(first), 50 * _CHUNK):
            one, two = first[part : part + 50 * _CHUNK], second[part : part + 50 * _CHUNK]
            shared = np.asarray(sets[one].multiply(sets[two]).sum(axis=1)).ravel()
            alike = shared / (sizes[one] + sizes[two] - shared)
            near = alike >= LEAST
            found.append((one[near], two[near], alike[near]))
    if not found:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))  # type: ignore[return-value]


def group(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of texts that pairs link, directly or by others; int (texts,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def _matrices(texts: Sequence[str]) -> tuple[Any, Any]:
    """The n-grams of each text, and the rarest of them; two sparse matrices of 0 and 1."""
    from scipy.sparse import csr_matrix

    hashes = [_hashes(text) for text in texts]
    ends = np.cumsum([0, *map(len, hashes)])
    _, columns, counts = np.unique(np.concatenate(hashes), return_inverse=True, return_counts=True)
    rarity = np.empty(len(counts), dtype=np.int64)
    rarity[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    shape = len(texts), len(counts)
    sets = csr_matrix((np.ones(len(columns), np.float32), rarity[columns], ends), shape=shape)
    sets.sort_indices()
    sizes = np.diff(ends)
    kept = sizes - np.ceil(LEAST * sizes).astype(int) + 1
    inside = np.arange(len(columns)) - np.repeat(ends[:-1], sizes) < np.repeat(kept, sizes)
    ends = np.cumsum([0, *kept])
    prefixes = csr_matrix((sets.data[inside], sets.indices[inside], ends), shape=shape)
    return sets, prefixes


def _hashes(text: str) -> NDArray[np.uint64]:
    letters = plain(text) or text
    found = np.unique(runs(letters, min(_SIZE, len(letters))))
    return found[:_MOST]
