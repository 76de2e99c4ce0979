"""Documents → rows of full length, and rows → masked batches. NumPy only.

A row holds several documents, each in its own [CLS] … [SEP]; attention and positions
stay inside a document (see `network.MaskedBert`), so packing changes speed, not results.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.pretrain.masking import SPECIAL, Replacements, choose, corrupt

IGNORED = -100
"""The label of a place that only fills the batch up."""


@dataclass(frozen=True)
class Corpus:
    """A tokenised corpus, usually mapped from disk.

    Attributes:
        pieces: The word-piece ids of all documents, one after the other.
        starts: Whether a piece is the first of a word; the same shape.
        documents: Where each document starts in `pieces`, and the end of the last one.
    """

    pieces: NDArray[np.integer]
    starts: NDArray[np.bool_]
    documents: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.documents) - 1


@dataclass(frozen=True)
class Plan:
    """Which stretches of the corpus make up which row.

    Attributes:
        begin: Where each stretch begins in `Corpus.pieces`.
        size: How many pieces it has.
        rows: Where each row begins in `begin` and `size`, and the end of the last one.
    """

    begin: NDArray[np.int64]
    size: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows) - 1


def pack(documents: NDArray[np.int64], length: int, rng: np.random.Generator) -> Plan:
    """Pack documents into rows of at most `length` pieces, best fit first, in random order.

    A document longer than a row is cut into stretches. Nothing is left out.

    Args:
        documents: As in `Corpus`.
        length: Pieces of a row, [CLS] and [SEP] of every stretch included.
        rng: Shuffles documents and rows.
    """
    begin, size = _stretches(documents, length - 2)
    order = rng.permutation(len(begin))
    by_size: list[list[int]] = [[] for _ in range(length - 1)]
    for stretch, pieces in zip(order.tolist(), size[order].tolist(), strict=True):
        by_size[pieces].append(stretch)
    rows = _fill_rows(by_size, length)
    shuffled = [rows[i] for i in rng.permutation(len(rows)).tolist()]
    members = np.asarray([stretch for row in shuffled for stretch in row], dtype=np.int64)
    ends = np.cumsum([len(row) for row in shuffled], dtype=np.int64)
    return Plan(begin[members], size[members], np.concatenate([[0], ends]))


def _stretches(documents: NDArray[np.int64], most: int) -> tuple[NDArray, NDArray]:
    lengths = np.diff(documents)
    counts = -(-lengths // most)
    owner = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = documents[:-1][owner] + number * most
    return begin, np.minimum(most, documents[1:][owner] - begin)


def _fill_rows(by_size: list[list[int]], length: int) -> list[list[int]]:
    """Best-fit decreasing, by buckets of equal size: linear in the number of stretches."""
    # For each room, the size to look at first; sizes only run out, so it only falls.
    largest = list(range(len(by_size)))
    rows: list[list[int]] = []

    def fitting(room: int) -> int:
        size = largest[room]
        while size and not by_size[size]:
            size = largest[size - 1]
        largest[room] = size
        return size

    while size := fitting(length - 2):
        row, room = [], length - 2
        while size:
            row.append(by_size[size].pop())
            room -= size + 2
            size = fitting(room) if room > 0 else 0
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Specials:
    """The ids of the special pieces; `every` are those that are never predicted."""

    cls: int
    sep: int
    pad: int
    every: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Packed rows before masking; every array has the shape (rows, length).

    Attributes:
        ids: Word-piece ids.
        positions: Position within the document, from 0 at its [CLS].
        documents: Number of the document within the row; -1 on padding.
        words: Number of the word within the row, `SPECIAL` outside the text.
        sources: Numbers in the corpus of the documents of all rows, one after the other; shape
            (documents,).
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    documents: NDArray[np.int64]
    words: NDArray[np.int64]
    sources: NDArray[np.int64]

    def texts(self) -> NDArray[np.int64]:
        """Number of the document among those of all rows; on padding, how many there are."""
        counts = self.documents.max(axis=1) + 1
        before = (np.cumsum(counts) - counts)[:, None]
        return np.where(self.documents >= 0, self.documents + before, counts.sum())


def lay_out(
    corpus: Corpus, plan: Plan, numbers: Sequence[int], length: int, specials: Specials
) -> Rows:
    """Write the rows `numbers` of a plan out, all at once: this feeds GPUs."""
    first, last = plan.rows[np.asarray(numbers)], plan.rows[np.asarray(numbers) + 1]
    number = _ranges(last - first)  # of each stretch within its row
    row = np.repeat(np.arange(len(numbers)), last - first)
    stretches = first[row] + number
    begin, size = plan.begin[stretches], plan.size[stretches]
    at = _before(size + 2)
    at -= at[_before(last - first)][row]  # where each stretch starts in its row
    corner = row * length + at
    shape = (len(numbers), length)
    rows = Rows(
        np.full(shape, specials.pad, dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
        np.full(shape, -1, dtype=np.int64),
        np.full(shape, SPECIAL, dtype=np.int64),
        np.searchsorted(corpus.documents, begin, side="right") - 1,
    )
    position = _ranges(size + 2)
    whole = np.repeat(corner, size + 2) + position
    rows.positions.flat[whole] = position
    rows.documents.flat[whole] = np.repeat(number, size + 2)
    text, source = (np.repeat(start, size) + _ranges(size) for start in (corner + 1, begin))
    rows.ids.flat[text] = corpus.pieces[source]
    rows.ids.flat[corner] = specials.cls
    rows.ids.flat[corner + size + 1] = specials.sep
    # A word that the cut went through counts from the cut.
    words = np.cumsum(corpus.starts[source])
    before = words[_before(size)] - corpus.starts[begin]
    rows.words.flat[text] = words + np.repeat(at - before, size)
    _spare(rows, specials)
    return rows


def _spare(rows: Rows, specials: Specials) -> None:
    """A text may spell [MASK] out, or have [UNK] in a word: such words are never chosen."""
    special = np.isin(rows.ids, specials.every) & (rows.words != SPECIAL)
    if special.any():
        keys = rows.words + np.arange(len(rows.words))[:, None] * (rows.words.max() + 1)
        rows.words[np.isin(keys, keys[special]) & (rows.words != SPECIAL)] = SPECIAL


def _before(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of all sizes before each."""
    return np.cumsum(sizes) - sizes


def _ranges(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """From 0 up to each size, one after the other."""
    return np.arange(sizes.sum()) - np.repeat(_before(sizes), sizes)


def mask_rows(
    rows: Rows,
    seeds: Sequence[Sequence[int]],
    rate: float,
    ngrams: Sequence[float],
    replacements: Replacements,
) -> dict[str, NDArray[np.int64]]:
    """Mask each row by a generator of its own, so that it doesn't matter who else is there.

    Returns:
        The arguments of `network.MaskedBert`: `ids`, `positions`, `documents`, each of shape
        (rows, length), and `where` and `labels`, the flat places to predict and the ids to
        find there, filled up to a fixed size with `IGNORED`.
    """
    count, length = rows.ids.shape
    ids = rows.ids.copy()
    chosen = np.zeros(rows.ids.shape, dtype=bool)
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        chosen[i] = choose(rows.words[i], rate, rng, ngrams)
        ids[i] = corrupt(ids[i], chosen[i], replacements, rng)
    places = np.flatnonzero(chosen)
    # A fixed size, so that a compiled network and an accelerator see one shape only.
    size = max(count * round(rate * length), len(places))
    where = np.zeros(size, dtype=np.int64)
    labels = np.full(size, IGNORED, dtype=np.int64)
    where[: len(places)] = places
    labels[: len(places)] = rows.ids.ravel()[places]
    return {
        "ids": ids,
        "positions": rows.positions,
        "documents": rows.documents,
        "where": where,
        "labels": labels,
    }
