"""How unlike its training texts a text is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.textcat import Novelty, evidence, rank

GRID = 200
"""Steps in which what is known of texts is remembered."""


def find_novelty(odds: NDArray[Any], doubts: NDArray[Any], known: float) -> Novelty:
    """What known texts look like.

    Args:
        odds: How strange their n-grams are, see `strangeness`; shape (texts,).
        doubts: How unsure the answers to them are, from 0 to 1; shape (texts,).
        known: The share of such texts that shall count as known.
    """
    far, unsure = _quantiles(odds), _quantiles(doubts)
    pairs = zip(odds.tolist(), doubts.tolist(), strict=True)
    sums = np.asarray([evidence(rank(far, one), rank(unsure, doubt)) for one, doubt in pairs])
    return Novelty(known=known, odds=far, doubts=unsure, sums=_quantiles(sums))


def _quantiles(values: NDArray[Any]) -> list[float]:
    return np.quantile(values, np.linspace(0, 1, GRID + 1)).tolist()
