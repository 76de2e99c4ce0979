"""Character n-grams by their hash values, and tables of their weights."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

START, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of the FNV hash
MIX = np.uint64(0xFF51AFD7ED558CCD)  # of MurmurHash3's finalizer
SHIFT = np.uint64(33)


class NgramTable(NamedTuple):
    """What n-grams add to logits.

    Attributes:
        weights: Of each row for each label; shape (rows, labels).
        ngram_size: Characters of the longest n-gram.
        length: Number of hash values.
        keys: The hash value of each row, sorted, shape (rows,); others add nothing. None where
            every hash value has a row.
    """

    weights: NDArray[np.float32]
    ngram_size: int
    length: int
    keys: NDArray[np.integer[Any]] | None = None


def find_rows(
    keys: NDArray[np.integer[Any]] | None, hashes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the rows of hash values in a table.

    Args:
        keys: See `NgramTable`.
        hashes: Shape (n-grams,).

    Returns:
        The places in `hashes` that have a row, and these rows; shape (known n-grams,) each.
    """
    if keys is None:
        return np.arange(len(hashes)), hashes
    if not len(keys):
        return hashes[:0], hashes[:0]
    # Of one type, or NumPy would copy all keys.
    rows = np.minimum(np.searchsorted(keys, hashes.astype(keys.dtype)), len(keys) - 1)
    known = np.flatnonzero(keys[rows] == hashes)
    return known, rows[known]


def aligned(tables: Sequence[NgramTable]) -> list[NgramTable]:
    """Tables of the same hash values with the same rows: with all that one of them has."""
    if not tables or any(table.keys is None for table in tables):
        return list(tables)
    of_each = [cast(NDArray[np.integer[Any]], table.keys) for table in tables]
    keys = np.unique(np.concatenate(of_each))
    widened = []
    for table, own in zip(tables, of_each, strict=True):
        weights = np.zeros((len(keys), table.weights.shape[1]), dtype=np.float32)
        weights[np.searchsorted(keys, own)] = table.weights
        widened.append(table._replace(weights=weights, keys=keys))
    return widened


def ngram_features(
    texts: Sequence[str], ngram_size: int, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Find the n-grams of texts.

    Args:
        texts: The texts.
        ngram_size: The longest n-gram, in characters; case is ignored.
        length: Number of hash values.

    Returns:
        A sparse matrix by its places: text, hash value and weight of each different n-gram,
        text after text. A weight is 1 + log(count); those of a text have length 1 together.
    """
    texts = [text.casefold() for text in texts]
    characters = "".join(texts)
    text_of = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    keys = []
    for size, rows in ngram_rows(characters, ngram_size, length):
        inside = text_of[: len(rows)] == text_of[size - 1 :]
        keys.append((text_of[: len(rows)] * length + rows)[inside])
    every = np.concatenate(keys) if keys else np.zeros(0, dtype=np.int64)
    unique, counts = np.unique(every, return_counts=True)
    owner = unique // length
    weights = 1.0 + np.log(counts)
    norms = np.sqrt(np.bincount(owner, weights**2, minlength=len(texts)))
    return owner, unique % length, (weights / norms[owner]).astype(np.float32)


def ngram_rows(text: str, ngram_size: int, length: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Hash the n-grams of a text.

    Args:
        text: In the case that counts, see `str.casefold`.
        ngram_size: The longest n-gram, in characters.
        length: Number of hash values.

    Yields:
        A size, and the hash value of the n-gram of that size at each place; shape (places,).
    """
    encoded = text.encode("utf-32-le", "surrogatepass")
    characters = np.frombuffer(encoded, dtype="<u4").astype(np.uint64)
    hashes = np.full_like(characters, START)
    for size in range(1, min(ngram_size, len(characters)) + 1):
        hashes = hashes[: len(characters) - size + 1] * PRIME + characters[size - 1 :]
        mixed = (hashes ^ (hashes >> SHIFT)) * MIX
        yield size, ((mixed ^ (mixed >> SHIFT)) % np.uint64(length)).astype(np.int64)
