"""What a calibrated component decides of a text: its labels, or that it can't tell."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer

from spacy_bert_zh.untrusted import Closed

ABSTAIN, UNKNOWN = "abstain", "unknown"
SURE, UNSURE, UNLIKE = "sure", "unsure", "unlike the training texts"

DECISION = ("decision", "why", "unlike", "set")
"""What `decide` tells."""

Share = Annotated[float, Field(gt=0, lt=1)]
Score = Annotated[float, Field(ge=0, le=1)]


def _ascending(values: list[float]) -> list[float]:
    if values != sorted(values):
        raise ValueError("quantiles must ascend")
    return values


Quantiles = Annotated[
    list[float], Field(min_length=2, max_length=10_001), AfterValidator(_ascending)
]


class Abstention(Closed):
    """Answers that are not sure enough are not given.

    Attributes:
        right: The share of the answers that shall be right.
        score: The least that an answer must have.
    """

    right: Share
    score: Score


class Sets(Closed):
    """Sets of labels that hold the right one.

    Attributes:
        coverage: How often they shall.
        score: The least that a label in a set has, but for the best one.
    """

    coverage: Share
    score: Score


class Novelty(Closed):
    """Texts that are unlike those of the training: of other n-grams, and their labels unsure.

    Texts of another domain show by the one, labels that nobody trained by the other (Arora et al.
    2021, arXiv 2109.06827): both are tests of whether a text is usual, combined by Fisher's method
    (1932), the sum of the logarithms of their p-values.

    Attributes:
        known: The share of texts like those of the training that shall count as such.
        odds: Quantiles of how strange such texts are by their n-grams, from the least.
        doubts: The same of how unsure their answers are, from 0 to 1.
        sums: The same of both together, see `evidence`.
    """

    known: Share
    odds: Quantiles
    doubts: Quantiles
    sums: Quantiles

    def share(self, odds: float, doubt: float) -> float:
        """The share of known texts that are less strange, from 0 to 1."""
        return rank(self.sums, evidence(rank(self.odds, odds), rank(self.doubts, doubt)))


class Rules(Closed):
    """What a component decides by, as `calibrate` found it; nothing else holds.

    Attributes:
        abstention: When it says nothing.
        sets: Which labels it can't rule out; of exclusive labels only.
        novelty: Which texts it doesn't know the like of.
    """

    abstention: Abstention | None = None
    sets: Sets | None = None
    novelty: Novelty | None = None


def thresholds_of(pipe: TextCategorizer) -> dict[str, float]:
    """The score from which each label counts as given, where a text may have several.

    A label's own (``cfg["thresholds"]``), or else the one for all. In a tree no label's is above
    that of one below it, so that whatever is given is given with all above it.
    """
    own = pipe.cfg.get("thresholds") or {}
    found = {label: own.get(label, pipe.cfg["threshold"]) for label in pipe.labels}
    if own and (tree := getattr(pipe, "tree", None)):
        lowered = -tree.raised(-np.asarray([list(found.values())]))[0]
        return dict(zip(found, lowered.tolist(), strict=True))
    return found


def given_of(pipe: TextCategorizer, scores: NDArray[Any]) -> NDArray[np.bool_]:
    """Which labels a text classifier gives to texts with these scores.

    Of exclusive labels the first of the best ones; of others all whose scores reach their
    thresholds; in a tree that shall give one path, the best one as far as they do.

    Args:
        pipe: Ours or spaCy's.
        scores: In the order of its labels; shape (texts, labels).

    Returns:
        Shape (texts, labels).
    """
    if not isinstance(pipe, MultiLabel_TextCategorizer):
        return np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    reached: NDArray[np.bool_] = scores >= np.asarray(list(thresholds_of(pipe).values()))
    follow = getattr(pipe, "follow", None)
    return reached if follow is None else follow(scores, reached)


def rank(quantiles: Sequence[float], value: float) -> float:
    """The share of a distribution that lies below a value."""
    return bisect_left(quantiles, value) / len(quantiles)


def evidence(*ranks: float) -> float:
    """How much speaks against a text being usual, by its ranks among usual texts (Fisher 1932)."""
    # The least p-value that a thousand usual texts could show: it stays finite.
    return -sum(math.log(1.0 - one + 1e-3) for one in ranks)


def confidence(scores: Sequence[float], given: Sequence[bool], exclusive: bool) -> float:
    """How sure an answer is, between 0 and 1: of exclusive labels the best one's score.

    Of others that of the least sure of all decisions: the score of a label that is given, 1 less
    that of one that isn't.
    """
    if exclusive:
        return max(scores)
    pairs = zip(scores, given, strict=True)
    return min(score if is_given else 1.0 - score for score, is_given in pairs)


def decide(
    rules: Rules,
    labels: Sequence[str],
    scores: Sequence[float],
    given: Sequence[bool],
    exclusive: bool,
    odds: float | None,
) -> dict[str, Any]:
    """Decide on a text.

    Args:
        rules: What to decide by.
        labels: Of the component.
        scores: Of the labels.
        given: Which of them are given.
        exclusive: Whether they exclude each other.
        odds: How strange the text's n-grams are, see `strangeness`; None if nobody knows.

    Returns:
        ``decision``: a label, or a list where they don't exclude each other, "abstain" or
        "unknown"; ``why``: "sure", "unsure", or "unlike the training texts"; where there are
        rules for it also ``set``, the labels that can't be ruled out, best first, and
        ``unlike``, the share of known texts that are less strange.
    """
    chosen = [label for label, is_given in zip(labels, given, strict=True) if is_given]
    said: dict[str, Any] = {"decision": chosen[0] if exclusive else chosen, "why": SURE}
    surest = confidence(scores, given, exclusive)
    if rules.abstention and surest < rules.abstention.score:
        said = {"decision": ABSTAIN, "why": UNSURE}
    if rules.novelty and odds is not None:
        share = rules.novelty.share(odds, 1.0 - surest)
        if share > rules.novelty.known:
            said = {"decision": UNKNOWN, "why": UNLIKE}
        said["unlike"] = round(share, 4)
    if rules.sets:
        least = min(rules.sets.score, max(scores))
        pairs = [pair for pair in zip(scores, labels, strict=True) if pair[0] >= least]
        said["set"] = [label for _, label in sorted(pairs, key=lambda pair: -pair[0])]
    return said
