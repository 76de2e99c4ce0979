"""From which score on answers are right as often as was asked."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError

CONFIDENCE = 0.95
"""How sure the promise is, over the draw of the corpus that it was found on."""
GRID = np.unique(
    np.concatenate([1 - np.geomspace(1e-5, 0.5, 200), np.linspace(0, 0.5, 51)]).round(6)
)
"""Scores that are tried, fixed before any text is seen; shape (tries,), ascending."""
START = 0.2
"""Share of the texts that get an answer where the tests start; more where these are too few."""


@dataclass(frozen=True)
class Found:
    """A score from which on answers are given.

    Attributes:
        score: The lowest such score.
        answered: Share of the texts that get an answer.
        right: Share of these answers that are right.
    """

    score: float
    answered: float
    right: float


def find_score(surest: NDArray[Any], correct: NDArray[Any], right: float) -> Found:
    """Find the lowest score from which on answers are right often enough, with a guarantee.

    With a probability of `CONFIDENCE` over the texts drawn, at least the share `right` of all
    answers with such a score is right. Scores are tried from a high one down, each by an exact
    binomial test, until one fails: so all tests together err no more often than one of them (fixed
    sequence testing in Learn then Test, Angelopoulos et al. 2021, arXiv 2110.01052, section 2.3).
    How many texts reach a score tells nothing of whether they are right, so this may decide where
    the sequence starts.

    Args:
        surest: How sure each answer is, between 0 and 1; shape (texts,).
        correct: Whether it is right; shape (texts,).
        right: The share that was asked for.

    Raises:
        BertZhError: No score does, because the texts are too few or the answers too bad.
    """
    from scipy.stats import binom

    scores = GRID[::-1]
    order = np.argsort(surest, kind="stable")
    counts = len(surest) - np.searchsorted(surest[order], scores)  # of the texts that reach them
    mistakes = np.concatenate([[0], np.cumsum(~correct[order[::-1]])])  # among the surest n
    wrong = mistakes[counts]
    passed = binom.cdf(wrong, counts, 1 - right) <= 1 - CONFIDENCE
    start = int(np.argmax(counts >= _first(len(surest), right)))
    length = int(np.argmin(np.append(passed[start:], False)))
    if not length:
        raise BertZhError(_why(surest, correct, right))
    lowest = start + length - 1
    count = int(counts[lowest])
    return Found(float(scores[lowest]), count / len(surest), 1 - float(wrong[lowest]) / count)


def fewest(right: float) -> int:
    """How many answers must all be right to show that this share of them is."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(right))


def _first(texts: int, right: float) -> int:
    """How many of the surest answers are tested first."""
    return max(math.ceil(START * texts), fewest(right))


def _why(surest: NDArray[Any], correct: NDArray[Any], right: float) -> str:
    texts, needed = len(surest), fewest(right)
    if texts < needed:
        return (
            f"--right {right:g}: to promise it with {CONFIDENCE:.0%} confidence takes {needed:,} "
            f"texts at least, all of them answered rightly, and the corpus has {texts:,}: give a "
            "larger one or ask for less"
        )
    first = _first(texts, right)
    reached = float(correct[np.argsort(-surest, kind="stable")[:first]].mean())
    return (
        f"--right {right:g}: even the {first:,} surest of {texts:,} answers are right for "
        f"{reached:.1%} only, too few to promise it with {CONFIDENCE:.0%} confidence: ask for "
        "less, train a better pipeline, or give a larger corpus"
    )
