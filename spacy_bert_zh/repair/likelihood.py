"""How likely a character is after the two before it, by the texts of a training.

Trigrams interpolated with pairs and single characters by absolute discounting (Ney, Essen and
Kneser 1994, *On structuring probabilistic dependences in stochastic language modelling*).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.repair.counts import BITS, Counts

DISCOUNT = 0.75
"""Taken from each count for what was never seen."""

Codes = NDArray[np.int64]
"""Code points, or several of them in one number."""
Floats = NDArray[np.float64]


class Likelihood:
    """Probabilities of characters after others.

    Args:
        counts: Of the training's texts.
    """

    def __init__(self, counts: Counts) -> None:
        ones, *more = _by_size(counts)
        self._ones, total = _Level(ones[0], ones[1] / (ones[1].sum() + 1.0)), ones[1].sum() + 1.0
        self._unseen = 0.5 / total
        self._more = [
            _Longer.of(keys, seen, *before)
            for (keys, seen), before in zip(more, (ones, *more), strict=False)
        ]

    def after(self, contexts: Codes, codes: Codes) -> Floats:
        """Natural logarithms of how likely characters are.

        Args:
            contexts: The two characters before as one number, or fewer of them; shape (contexts,).
            codes: The characters; shape (characters,).

        Returns:
            Shape (contexts, characters).
        """
        likely = np.broadcast_to(
            np.maximum(self._ones.of(codes), self._unseen), (len(contexts), len(codes))
        )
        for i, level in enumerate(self._more):
            before = contexts & ((1 << BITS * (i + 1)) - 1)
            share = level.shares.of((before[:, None] << BITS) | codes)
            likely = share + level.rest.of(before, 1.0)[:, None] * likely
        return np.log(likely)


@dataclass(frozen=True)
class _Level:
    """A number for some keys, which ascend."""

    keys: Codes
    values: Floats

    def of(self, keys: Codes, otherwise: float = 0.0) -> Floats:
        if not len(self.keys):
            return np.full(keys.shape, otherwise)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.values[places], otherwise)


@dataclass(frozen=True)
class _Longer:
    """N-grams of one size: their shares after their contexts, and what these leave to others."""

    shares: _Level
    rest: _Level

    @classmethod
    def of(cls, keys: Codes, counts: Codes, shorter: Codes, shorter_counts: Codes) -> "_Longer":
        contexts, first = np.unique(keys >> BITS, return_index=True)
        shares = counts.astype(np.float64) - DISCOUNT
        rest = np.ones(len(contexts))
        if len(keys):
            seen = _Level(shorter, shorter_counts.astype(np.float64)).of(contexts)
            totals = np.maximum(seen, np.add.reduceat(counts, first))
            shares /= np.repeat(totals, np.diff(first, append=len(keys)))
            rest -= np.add.reduceat(shares, first)
        return cls(_Level(keys, shares), _Level(contexts, rest))


def _by_size(counts: Counts) -> list[tuple[Codes, Codes]]:
    ends = np.searchsorted(counts.keys, [1 << BITS, 1 << 2 * BITS])
    return list(zip(np.split(counts.keys, ends), np.split(counts.counts, ends), strict=True))
