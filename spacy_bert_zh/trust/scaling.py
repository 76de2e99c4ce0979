"""Scores that mean what they say: logits multiplied, and for labels apart also shifted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST_POSITIVES = 20
"""A label with fewer texts that have it, or that don't, shares slope and shift with the others."""
_TINY = 1e-7
_TEMPERATURES = (0.05, 20.0)


def fit_temperature(scores: Array, gold: NDArray[Any]) -> float:
    """The temperature that makes exclusive scores most likely (Guo et al. 2017, eq. 9).

    Args:
        scores: Of a softmax; shape (texts, labels).
        gold: 1 for the label that holds, else 0; shape (texts, labels).

    Returns:
        What to divide the logits by; more than 1 where scores are too sure.
    """
    from scipy.optimize import minimize_scalar

    logs = np.log(np.maximum(scores, np.finfo(np.float32).tiny))  # logits up to a constant
    truth = gold.argmax(1)

    def loss(log_temperature: float) -> float:
        return _cross_entropy(logs / np.exp(log_temperature), truth)

    bounds = tuple(np.log(_TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def fit_logistic(
    scores: Array, gold: NDArray[Any], known: NDArray[Any], together: bool = False
) -> tuple[Array, Array]:
    """Slope and shift of each label's logit (Platt 1999, sections 2.1 and 2.2).

    Labels with few texts share the ones that suit all labels together.

    Args:
        scores: Of sigmoids; shape (texts, labels).
        gold: 1 where a label holds, else 0; shape (texts, labels).
        known: Whether that is known; shape (texts, labels).
        together: Whether all labels share them: then the highest of some stays the highest.

    Returns:
        Slopes and shifts; shape (labels,) each.
    """
    logits = logit(scores)
    known = known.astype(bool)
    common = _platt(logits[known], gold[known])
    pairs = []
    for values, truth, told in zip(logits.T, gold.T, known.T, strict=True):
        values, truth = values[told], truth[told]
        enough = min(truth.sum(), len(truth) - truth.sum()) >= FEWEST_POSITIVES and not together
        pairs.append(_platt(values, truth) if enough else common)
    slopes, shifts = np.asarray(pairs).T
    return slopes, shifts


def logit(scores: Array) -> Array:
    """What a sigmoid made these scores of."""
    clipped = np.clip(scores, _TINY, 1 - _TINY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _platt(logits: Array, gold: NDArray[Any]) -> tuple[float, float]:
    from scipy.optimize import minimize

    positives, negatives = gold.sum(), len(gold) - gold.sum()
    # Not 1 and 0: so neither slope nor shift runs away where a score tells both apart.
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    targets = np.where(gold > 0, high, low)

    def loss(pair: Array) -> tuple[float, Array]:
        moved = pair[0] * logits + pair[1]
        losses = np.logaddexp(0, moved) - targets * moved
        errors = 1 / (1 + np.exp(-np.clip(moved, -500, 500))) - targets
        return float(losses.mean()), np.asarray([(errors * logits).mean(), errors.mean()])

    # A slope of nothing or less would turn the order of the scores round.
    found = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(0.01, 20), (-20, 20)])
    return float(found.x[0]), float(found.x[1])


def _cross_entropy(logs: Array, truth: NDArray[Any]) -> float:
    tops = logs.max(1, keepdims=True)
    totals = tops[:, 0] + np.log(np.exp(logs - tops).sum(1))
    return float((totals - logs[np.arange(len(logs)), truth]).mean())
