"""Whether scores mean what they say: calibration, and what a classifier knows of its own mistakes.

A *claim* is a score beside the truth. Where labels exclude each other, a text makes one claim: that
its best label is right, with that label's score. Else each pair of a text and a label makes one:
that the label holds. Nothing here depends on the order of the texts: claims of one score stand for
each other, each as right as they are on average.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 15
CURVE = 101
"""Points of the risk–coverage curve that are kept."""
LEAST = float(np.finfo(np.float32).eps)
"""Scores are float32: one of 0 may be any below this, and its logarithm would be infinite."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Claims:
    """Scores and truths, by falling score.

    Attributes:
        scores: From 0 to 1, float (claims,).
        holds: Share of the claims of the same score that hold, float (claims,).
        texts: The row of the text that makes the claim, int (claims,).
    """

    scores: Floats
    holds: Floats
    texts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


def make_claims(
    scores: NDArray[Any], gold: NDArray[Any], known: NDArray[Any], exclusive: bool
) -> Claims:
    """What is claimed by scores; arguments are those of `Predictions`, shape (texts, labels)."""
    if exclusive:
        texts = np.arange(len(scores))
        best = scores.argmax(axis=1)
        claimed, true = scores[texts, best], gold[texts, best]
    else:
        texts, labels = np.nonzero(known)
        claimed, true = scores[texts, labels], gold[texts, labels]
    order = np.argsort(-claimed, kind="stable")
    claimed = claimed[order].astype(float)
    _, group = np.unique(claimed, return_inverse=True)
    holds = np.bincount(group, true[order]) / np.maximum(np.bincount(group), 1)
    return Claims(claimed, holds[group], texts[order])


def bin_shares(count: int) -> tuple[NDArray[np.int64], Floats]:
    """Bins of exactly equal mass: a claim on an edge belongs to both sides, in shares.

    Args:
        count: Number of claims, in order of score.

    Returns:
        The first bin of each claim, int (count,), and how much of the claim lies in it and in
        each bin after it, float (count, bins after the first one included).
    """
    edges = np.arange(BINS + 1) * count / BINS
    low = np.arange(count)[:, None]
    first = np.minimum((low[:, 0] * BINS) // max(count, 1), BINS - 1)
    reach = np.arange(1 + -(-BINS // max(count, 1)))
    bins = np.minimum(first[:, None] + reach, BINS)
    ends = np.append(edges, count)
    shares = np.minimum(ends[bins + 1], low + 1) - np.maximum(ends[bins], low)
    return first, np.maximum(shares, 0.0)


def bin_sums(values: Floats) -> Floats:
    """Sums of values of claims over the bins of equal mass, float (`BINS`,)."""
    first, shares = bin_shares(len(values))
    bins = first[:, None] + np.arange(shares.shape[1])
    weighted = shares * values[:, None]
    sums: Floats = np.bincount(bins.ravel(), weighted.ravel(), BINS)[:BINS].astype(float)
    return sums


def calibration_error(claims: Claims) -> float:
    """The expected calibration error: how far scores are from the share that holds, on average.

    Over `BINS` bins of equal mass (Nguyen & O'Connor 2015, *Posterior calibration and exploratory
    analysis for natural language processing models*, section 3; weighted by mass as in Guo et al.
    2017, *On calibration of modern neural networks*, equation 3).
    """
    return float(np.abs(bin_sums(claims.scores - claims.holds)).sum() / max(len(claims), 1))


def error_of_luck(claims: Claims) -> float:
    """The calibration error that scores would have here on average if they meant what they say.

    Even then the share that holds differs from the score in each bin, by a normal deviate whose
    mean distance is sqrt(2 / pi) of its deviation (cf. Broecker & Smith 2007, *Increasing the
    reliability of reliability diagrams*, on consistency).
    """
    first, shares = bin_shares(len(claims))
    bins = first[:, None] + np.arange(shares.shape[1])
    variances = shares**2 * (claims.scores * (1 - claims.scores))[:, None]
    sums = np.bincount(bins.ravel(), np.maximum(variances, 0.0).ravel())
    return float(np.sqrt(2 / np.pi * sums).sum() / max(len(claims), 1))


def reliability_bins(claims: Claims) -> list[dict[str, float]]:
    """The points of a reliability diagram, by rising score: mean ``score``, share that ``holds``.

    Each bin holds ``claims`` / 15 of the claims. With fewer claims than bins, bins repeat.
    """
    mass = len(claims) / BINS
    score, holds = bin_sums(claims.scores) / mass, bin_sums(claims.holds) / mass
    points = zip(score[::-1].tolist(), holds[::-1].tolist(), strict=True)
    return [{"score": min(s, 1.0), "holds": min(h, 1.0)} for s, h in points]


def brier_terms(
    scores: NDArray[Any], gold: NDArray[Any], known: NDArray[Any], exclusive: bool
) -> Floats:
    """The Brier score of each text, whose mean is that of the corpus; float (texts,).

    Where labels exclude each other the squared errors of a text are summed over its labels, from
    0 to 2 (Brier 1950, *Verification of forecasts expressed in terms of probability*, equation
    2). Else they are averaged over all known pairs of text and label, from 0 to 1.
    """
    squares = np.where(known, (scores - gold) ** 2, 0.0).sum(axis=1, dtype=float)
    return squares if exclusive else squares * len(known) / max(int(known.sum()), 1)


def likelihood_terms(
    scores: NDArray[Any], gold: NDArray[Any], known: NDArray[Any], exclusive: bool
) -> Floats:
    """The negative log likelihood of each text, in nats; its mean is that of the corpus.

    Where labels exclude each other that of the true label, else the mean over all known pairs of
    text and label of that of the truth (binary cross-entropy). Scores within `LEAST` of 0 or 1
    count as that near. Float (texts,).
    """
    clipped = np.clip(scores.astype(float), LEAST, 1 - LEAST)
    if exclusive:
        return -np.log(clipped[np.arange(len(gold)), gold.argmax(axis=1)])
    losses = np.where(known, -np.log(np.where(gold > 0, clipped, 1 - clipped)), 0.0).sum(axis=1)
    return losses * len(known) / max(int(known.sum()), 1)


def risk_coverage(claims: Claims) -> tuple[Floats, Floats]:
    """The risk–coverage curve: answer only the surest texts; how many, how many of them wrong?

    Geifman & El-Yaniv 2017, *Selective classification for deep neural networks*, equations 1 and
    2. Only what a threshold can cut off is a point: texts of one score are answered together.

    Returns:
        Coverage and risk, shares from 0 to 1, by rising coverage; float (points,).
    """
    wrong = np.cumsum(1 - claims.holds)
    ends = np.flatnonzero(np.append(claims.scores[1:] != claims.scores[:-1], True))
    return (ends + 1) / len(claims), wrong[ends] / (ends + 1)


def area_under_risk(claims: Claims) -> float:
    """The area under the risk–coverage curve, AURC; the lower the better.

    Geifman, Uziel & El-Yaniv 2019, *Bias-reduced uncertainty estimation for deep neural
    classifiers*, section 3: the mean risk over all numbers of texts answered. Texts of one score
    in the mean of all their orders.
    """
    answered = np.arange(1, len(claims) + 1)
    return float(np.mean(np.cumsum(1 - claims.holds) / answered))


def coverage_at(claims: Claims, right: float) -> float:
    """The largest share of texts that a threshold lets through with so many of them right.

    It is what happened on this corpus, and no guarantee for others.

    Args:
        claims: Of labels that exclude each other.
        right: Share of the answered texts, from 0 to 1.
    """
    coverage, risk = risk_coverage(claims)
    enough = coverage[risk <= 1 - right + ROUNDING]
    return float(enough[-1]) if len(enough) else 0.0


def measure_reliability(
    claims: Claims, terms: dict[str, Floats], exclusive: bool
) -> dict[str, Any]:
    """All of this as ``metrics.json`` has it.

    Where a text may have several labels there is no risk–coverage: an answer is a set of labels,
    and no one score stands for it.

    Args:
        claims: What scores claim.
        terms: ``brier`` and ``nll`` of each text, float (texts,).
        exclusive: Whether labels exclude each other.
    """
    selective: dict[str, Any] = {"aurc": None, "coverage_at_99": None, "risk_coverage": None}
    if exclusive:
        coverage, risk = risk_coverage(claims)
        chosen = np.unique(np.linspace(0, len(coverage) - 1, CURVE).round().astype(int))
        points = zip(coverage[chosen].tolist(), risk[chosen].tolist(), strict=True)
        selective = {
            "aurc": area_under_risk(claims),
            "coverage_at_99": coverage_at(claims, 0.99),
            "risk_coverage": [{"coverage": c, "risk": r} for c, r in points],
        }
    return {
        "ece": calibration_error(claims),
        "ece_of_luck": error_of_luck(claims),
        **{name: float(term.mean()) for name, term in terms.items()},
        "bins": reliability_bins(claims),
        **selective,
    }
