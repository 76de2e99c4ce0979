"""How far figures would swing on other texts of the same kind: the bootstrap over texts.

Efron & Tibshirani 1993, *An introduction to the bootstrap*, chapter 13: as many texts are drawn
with replacement as there are, again and again. Every figure here is a function of sums over texts,
so that a resampling is a row of counts, and all of them are one product of matrices.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.evaluate.reliability import BINS, Claims, bin_shares

Floats = NDArray[np.float64]

RESAMPLINGS = 1000
LEVEL = 0.95
CELLS = 4_000_000
"""Counts that are held at once: 32 MB."""


def draw_counts(random: np.random.Generator, drawings: int, items: int) -> NDArray[np.int64]:
    """How often each item is drawn, as many as there are, with replacement; (drawings, items)."""
    rows = [
        np.bincount(random.integers(items, size=items), minlength=items) for _ in range(drawings)
    ]
    return np.stack(rows).astype(np.int64)


def resample(columns: Floats, resamplings: int = RESAMPLINGS, seed: int = 0) -> Floats:
    """Sums over resampled texts.

    Args:
        columns: What each text adds, float (texts, columns).
        resamplings: How many.
        seed: The same one draws the same texts.

    Returns:
        The sums, float (resamplings, columns).
    """
    random = np.random.default_rng(seed)
    block = max(1, CELLS // len(columns))
    parts = [
        draw_counts(random, min(block, resamplings - start), len(columns)).astype(float) @ columns
        for start in range(0, resamplings, block)
    ]
    return np.concatenate(parts)


def answer_columns(predictions: Predictions) -> Floats:
    """What each text adds to accuracy and F1: see `answer_figures`; float (texts, 1 + 3 labels)."""
    gold, predicted = predictions.gold, predictions.predicted
    right = (gold == predicted).all(axis=1, keepdims=True)
    return np.hstack([right, gold & predicted, gold + predicted, gold]).astype(float)


def answer_figures(sums: Floats, texts: int) -> dict[str, Floats]:
    """Accuracy and F1 of sums of `answer_columns`, as `measure` defines them.

    Args:
        sums: Float (…, 1 + 3 labels).
        texts: How many were summed.

    Returns:
        ``accuracy``, ``macro_f1`` (of the labels that some of the texts has) and ``micro_f1``,
        each float (…).
    """
    both, either, support = np.split(sums[..., 1:], 3, axis=-1)
    present = support > 0
    f1 = 2 * both / np.maximum(either, 1)
    return {
        "accuracy": sums[..., 0] / texts,
        "macro_f1": (f1 * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1),
        "micro_f1": 2 * both.sum(axis=-1) / np.maximum(either.sum(axis=-1), 1),
    }


def gap_columns(claims: Claims, texts: int) -> Floats:
    """What each text adds to the calibration error; float (texts, 1 + `BINS`).

    Its number of claims, and in each bin how far its scores are above what holds. The bins are
    those of the whole corpus.
    """
    first, shares = bin_shares(len(claims))
    bins = first[:, None] + np.arange(shares.shape[1])
    gaps = shares * (claims.scores - claims.holds)[:, None]
    cells = claims.texts[:, None] * (BINS + 1) + bins  # the last bin holds nothing
    sums = np.bincount(cells.ravel(), gaps.ravel(), texts * (BINS + 1))
    count = np.bincount(claims.texts, minlength=texts)
    return np.column_stack([count, sums.reshape(texts, BINS + 1)[:, :BINS]])


def gap_error(sums: Floats) -> Floats:
    """The calibration error of sums of `gap_columns`; float (…)."""
    error: Floats = np.abs(sums[..., 1:]).sum(axis=-1) / np.maximum(sums[..., 0], 1)
    return error


def interval(values: Floats, level: float = LEVEL) -> list[float]:
    """The percentile interval of a figure's resamplings, its lower and its upper end."""
    tail = (1 - level) / 2
    return [float(end) for end in np.quantile(values, [tail, 1 - tail])]


def intervals(
    predictions: Predictions, claims: Claims, terms: dict[str, Floats], seed: int = 0
) -> dict[str, Any]:
    """Intervals of the headline figures of an evaluation.

    Args:
        predictions: What was said.
        claims: Of that.
        terms: Figures that are means over texts, by name, each float (texts,).
        seed: Of the drawing.

    Returns:
        Lower and upper end by figure, and ``level`` and ``resamplings``.
    """
    texts = len(predictions.gold)
    answers, gaps = answer_columns(predictions), gap_columns(claims, texts)
    sums = resample(np.column_stack([answers, gaps, *terms.values()]), seed=seed)
    parts = np.split(sums, np.cumsum([answers.shape[1], gaps.shape[1]]), axis=1)
    figures = answer_figures(parts[0], texts) | {"ece": gap_error(parts[1])}
    figures |= {name: parts[2][:, i] / texts for i, name in enumerate(terms)}
    ends = {name: interval(values) for name, values in figures.items()}
    ends["ece"] = _basic(ends["ece"], float(gap_error(gaps.sum(axis=0))))
    return {"level": LEVEL, "resamplings": RESAMPLINGS, **ends}


def _basic(ends: list[float], measured: float) -> list[float]:
    """The basic bootstrap's interval (Davison & Hinkley 1997, equation 5.6), from 0 up.

    A calibration error is a sum of distances: luck makes it larger, never smaller, in the drawings
    as it did on the corpus; so what the drawings add is taken off instead of put on.
    """
    low, high = ends
    return [max(2 * measured - high, 0.0), max(2 * measured - low, 0.0)]
