"""Rows that are likely wrongly labelled, labels that people confuse, how many there are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.folds import Rows

_MOST_PAIRS = 50


def rank(
    gold: NDArray[np.bool_], scores: NDArray[np.float64], exclusive: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How sure it is that a row's labels are wrong, and which ones would be better.

    Args:
        gold: The given labels; bool (rows, labels).
        scores: Out-of-fold probabilities; float (rows, labels).
        exclusive: Whether each row has exactly one label.

    Returns:
        What the scores leave for other labels than the given ones, from 0 to 1, which orders rows
        as the out-of-sample loss does; float (rows,). Where labels don't exclude each other, that
        of the row's most doubtful label. And the better labels; bool (rows, labels).
    """
    everyone = np.arange(len(gold))
    if exclusive:
        better = np.zeros_like(gold)
        better[everyone, np.where(gold, -1.0, scores).argmax(axis=1)] = True
        return 1 - scores[gold], better
    doubt = np.where(gold, 1 - scores, scores)
    worst = doubt.argmax(axis=1)
    better = gold.copy()
    better[everyone, worst] ^= True
    return doubt[everyone, worst], better


def agreement(gold: NDArray[np.bool_], scores: NDArray[np.float64], exclusive: bool) -> float:
    """The share of rows that the scores give the labels they have: how good a judge they are.

    Args:
        gold: The given labels; bool (rows, labels).
        scores: Out-of-fold probabilities; float (rows, labels).
        exclusive: Whether each row has exactly one label.
    """
    if exclusive:
        return float((gold.argmax(axis=1) == scores.argmax(axis=1)).mean())
    return float(((scores > 0.5) == gold).all(axis=1).mean())


def joint(gold: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count rows by given and by confident label (Northcutt et al. 2021, eq. 1).

    A row counts for the likeliest of those labels whose score is at least what it is on average
    among rows given that label.

    Returns:
        Rows; int (labels, labels), a row of it per given label.
    """
    least = (scores * gold).sum(axis=0) / np.maximum(gold.sum(axis=0), 1)
    sure = np.where((scores >= least) & (gold.any(axis=0)), scores, -1.0)
    counted = sure.max(axis=1) >= 0
    counts = np.zeros((gold.shape[1],) * 2, dtype=np.int64)
    np.add.at(counts, (gold.argmax(axis=1)[counted], sure.argmax(axis=1)[counted]), 1)
    return counts


def estimate_wrong(rows: Rows, scores: NDArray[np.float64]) -> tuple[int, list[dict[str, Any]]]:
    """Estimate how many rows are wrong, and between which labels.

    The joint counts are brought to the number of rows of each given label (Northcutt et al. 2021,
    eq. 2). Where labels don't exclude each other, each is a question of its own, yes or no, and no
    pairs are named.

    Returns:
        Rows (or, of several labels, labels of rows), and the pairs, most rows first: ``given``,
        ``better``, ``rows``.
    """
    if not rows.exclusive:
        parts = [_asked(rows.gold[:, i], scores[:, i]) for i in range(len(rows.labels))]
        return round(sum(_scaled(joint(*part), part[0])[1].sum() for part in parts)), []
    off = _scaled(joint(rows.gold, scores), rows.gold)[1]
    places = np.argsort(-off, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [
        {"given": rows.labels[i], "better": rows.labels[j], "rows": round(float(off[i, j]))}
        for i, j in zip(*np.unravel_index(places, off.shape), strict=True)
        if round(float(off[i, j]))
    ]
    return round(float(off.sum())), pairs


def _asked(
    gold: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    return np.stack([~gold, gold], axis=1), np.stack([1 - scores, scores], axis=1)


def _scaled(
    counts: NDArray[np.int64], gold: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts brought to the rows of each given label, and those without the diagonal."""
    whole = counts * (gold.sum(axis=0) / np.maximum(counts.sum(axis=1), 1))[:, None]
    return whole, whole * (1 - np.eye(len(whole)))
