"""Masked language modelling: which pieces to predict, and what stands in their place.

Pure functions of arrays and a random generator. Whole-word masking: Cui et al. 2021,
"Pre-Training with Whole Word Masking for Chinese BERT"; n-grams and similar characters
instead of [MASK]: Cui et al. 2020, "Revisiting Pre-Trained Models for Chinese NLP" (MacBERT).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPECIAL = -1
"""The word number of a piece that is no part of the text."""

KEPT, RANDOM, MASKED = 0.1, 0.1, 0.8
"""What becomes of a chosen piece (Devlin et al. 2019, section 3.1)."""


def choose(
    words: NDArray[np.int64],
    rate: float,
    rng: np.random.Generator,
    ngrams: Sequence[float] = (1.0,),
) -> NDArray[np.bool_]:
    """Choose the pieces to predict: whole words, until the rate is met but not exceeded.

    Args:
        words: The number of the word that each piece belongs to, ascending, `SPECIAL` for
            [CLS], [SEP] and [PAD]; shape (pieces,).
        rate: The share of the text's pieces to choose, 0 to 1.
        rng: The source of every choice.
        ngrams: How often to take 1, 2, … neighbouring words at once; MacBERT has
            (0.4, 0.3, 0.2, 0.1). Words with a special piece between them aren't neighbours.

    Returns:
        True for the pieces to predict; shape (pieces,). At least one word is chosen if
        there is one and `rate` is above 0, even where that exceeds the rate.
    """
    chosen = np.zeros(len(words), dtype=bool)
    starts, sizes = _spans(words) if len(words) else (words, words)
    if not len(starts) or rate <= 0:
        return chosen
    budget = round(rate * int(sizes.sum()))
    lengths = _draw_lengths(len(starts), rng, ngrams)
    taken = _take(
        rng.permutation(len(starts)).tolist(), lengths, starts.tolist(), sizes.tolist(), budget
    )
    taken = taken or [int(sizes.argmin())]
    for word in taken:
        chosen[starts[word] : starts[word] + sizes[word]] = True
    return chosen


def _spans(words: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each word starts, and how many pieces it has."""
    changes = np.flatnonzero(words[1:] != words[:-1]) + 1
    edges = np.concatenate([[0], changes, [len(words)]])
    starts, sizes = edges[:-1], edges[1:] - edges[:-1]
    text = words[starts] != SPECIAL
    return starts[text], sizes[text]


def _draw_lengths(count: int, rng: np.random.Generator, ngrams: Sequence[float]) -> list[int]:
    if len(ngrams) == 1:
        return [1] * count
    shares = np.cumsum(ngrams) / np.sum(ngrams)
    return (np.searchsorted(shares, rng.random(count), side="right") + 1).tolist()


def _take(
    order: list[int], lengths: list[int], starts: list[int], sizes: list[int], budget: int
) -> list[int]:
    """Words in the order of the draw, each with its neighbours, as long as they fit."""
    taken: dict[int, None] = {}
    for first, length in zip(order, lengths, strict=True):
        if budget <= 0:
            break
        for word in range(first, min(first + length, len(starts))):
            if word > first and starts[word] != starts[word - 1] + sizes[word - 1]:
                break  # a special piece between them
            if word not in taken and sizes[word] <= budget:
                taken[word] = None
                budget -= sizes[word]
    return list(taken)


@dataclass(frozen=True)
class Replacements:
    """What may stand in the place of a chosen piece.

    Attributes:
        mask: The id of [MASK].
        pieces: The ids that a random replacement is drawn from; no special piece.
        similar: For each id, where its similar ids start and end in `candidates`; shape
            (vocabulary, 2). None: [MASK] is used instead of similar pieces.
        candidates: The ids of similar pieces.
    """

    mask: int
    pieces: NDArray[np.int64]
    similar: NDArray[np.int64] | None = None
    candidates: NDArray[np.int64] | None = None


def corrupt(
    ids: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    replacements: Replacements,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Replace the chosen pieces: 80 % by [MASK], 10 % by any piece, 10 % stay.

    With similar pieces given, one of them takes the place of [MASK], and a piece that has
    none is replaced by any piece (MacBERT, section 3).

    Args:
        ids: Word-piece ids; shape (pieces,).
        chosen: As `choose` gives it; shape (pieces,).
        replacements: What to draw from.
        rng: The source of every choice.

    Returns:
        A changed copy of `ids`.
    """
    corrupted = ids.copy()
    places = np.flatnonzero(chosen)
    fate = rng.random(len(places))
    by_any = (fate >= KEPT) & (fate < KEPT + RANDOM)
    by_mask = fate >= KEPT + RANDOM
    corrupted[places[by_any]] = rng.choice(replacements.pieces, int(by_any.sum()))
    masked = places[by_mask]
    if replacements.similar is None:
        corrupted[masked] = replacements.mask
    else:
        corrupted[masked] = _similar(ids[masked], replacements, rng)
    return corrupted


def _similar(
    ids: NDArray[np.int64], replacements: Replacements, rng: np.random.Generator
) -> NDArray[np.int64]:
    assert replacements.similar is not None and replacements.candidates is not None
    start, end = replacements.similar[ids].T
    drawn = rng.choice(replacements.pieces, len(ids))
    known = end > start
    at = start + (rng.random(len(ids)) * (end - start)).astype(np.int64)
    drawn[known] = replacements.candidates[at[known]]
    return drawn
