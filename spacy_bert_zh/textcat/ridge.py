"""A table of n-grams that is solved, not learnt: a ridge regression on the labels.

A linear model has a best answer, which needs no learning rate: Adam, which takes a step of one
size for rare and common n-grams, knows the training texts by heart before it is there.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bert_zh.pieces import texts_of
from spacy_bert_zh.textcat.ngrams import SCALE, is_solved, ngram_features

log = logging.getLogger(__name__)

PENALTY, STEPS, TOLERANCE = 0.3, 30, 1e-2
"""The ridge; conjugate gradients take so many steps at most, or until the residual is so small a
share of the first one."""
NOTHING = 1e-6
"""A residual that is as short is rounding alone: going after it would divide by next to nothing."""
MOST = 40_000_000
"""N-grams and labels of texts that are kept in memory, eight bytes each; further texts are left
out, with a warning."""
CHUNK = 4_000_000
"""Numbers of an array on the way."""

SURE = 6.5
"""By so much the logit of a label lies above the others' where the regression is sure of it; twice
that above its own absence, where labels don't exclude each other."""

Texts = Iterable[tuple[list[Doc], NDArray[np.float32], NDArray[np.float32]]]
"""Batches of documents, their targets (texts, labels), and the weights of these (texts, labels)."""


def solve(model: Model[Any, Any], batches: Texts) -> None:
    """Solve the n-grams of a model, if it has some that are solved.

    Args:
        model: Initialised.
        batches: What to learn from.
    """
    linear = next((node for node in model.walk() if is_solved(node)), None)
    if linear is None:
        return
    table = solve_table(batches, linear.attrs["ngram_size"], linear.get_dim("nI"))
    parts = float(model.attrs.get("parts", 1))
    share = (parts - 1) / parts if parts > 1 else 1.0
    sure = 2 * SURE if model.attrs["multi_label"] else SURE
    factor = sure * share / float(model.attrs["linear_rate"])
    linear.set_param("W", linear.ops.asarray2f(cast(Any, factor * table)))
    linear.set_param(SCALE, None)


def solve_table(batches: Texts, ngram_size: int, length: int) -> NDArray[np.float32]:
    """Solve a table of n-grams for the least squares of texts' labels.

    Least is the sum of the weighted squares of (features · table + means of the targets − targets)
    and of the table's squares times `PENALTY` (Hoerl & Kennard 1970); by conjugate gradients on the
    normal equations of each label (CGLS: Björck 1996, section 7.4).

    Args:
        batches: What to learn from.
        ngram_size: The longest n-gram, in characters.
        length: Number of hash values.

    Returns:
        The table, shape (hash values, labels); of texts without n-grams it is 0.
    """
    features, targets, weights = _gather(batches, ngram_size, length)
    means = (weights * targets).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-12)
    table = np.zeros((length, targets.shape[1]), dtype=np.float32)
    table[features.rows] = _solve(features, weights, targets - means)
    return table


class _Features:
    """N-grams of texts as a sparse matrix, by texts and by rows."""

    def __init__(self, counts: NDArray[np.int64], columns: NDArray[Any], values: NDArray[Any]):
        self.rows, columns = np.unique(columns, return_inverse=True)
        owners = np.repeat(np.arange(len(counts)), counts)
        order = np.argsort(columns, kind="stable")
        self.by_text = counts, columns, values
        self.by_row = np.bincount(columns, minlength=len(self.rows)), owners[order], values[order]

    def times(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Texts' sums over their n-grams; (rows, labels) to (texts, labels)."""
        return _product(*self.by_text, table)

    def back(self, errors: NDArray[np.float32]) -> NDArray[np.float32]:
        """N-grams' sums over their texts; (texts, labels) to (rows, labels)."""
        return _product(*self.by_row, errors)


def _product(
    counts: NDArray[np.int64],
    columns: NDArray[np.int64],
    values: NDArray[np.float32],
    table: NDArray[np.float32],
) -> NDArray[np.float32]:
    """A sparse matrix, of so many places in each line, times a table."""
    result = np.zeros((len(counts), table.shape[1]), dtype=np.float32)
    ends = np.cumsum(counts)
    filled = np.flatnonzero(counts)
    for lines in _parts(filled, ends, max(CHUNK // table.shape[1], 1)):
        first, last = ends[lines[0]] - counts[lines[0]], ends[lines[-1]]
        product = table[columns[first:last]] * values[first:last, None]
        result[lines] = np.add.reduceat(product, ends[lines] - counts[lines] - first)
    return result


def _parts(
    filled: NDArray[np.int64], ends: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.int64]]:
    """Lines that aren't empty, as many together as have so many places."""
    numbers = ends[filled] // size
    yield from np.split(filled, np.flatnonzero(np.diff(numbers)) + 1) if len(filled) else ()


def _gather(
    batches: Texts, ngram_size: int, length: int
) -> tuple[_Features, NDArray[np.float32], NDArray[np.float32]]:
    counts: list[NDArray[np.int64]] = []
    columns, values, targets, weights = [], [], [], []
    size = 0
    for docs, target, weight in batches:
        if size > MOST:
            count = sum(len(lengths) for lengths in counts)
            log.warning("n-grams are solved by the first %s texts: memory is limited", f"{count:,}")
            break
        texts = texts_of(docs)
        owners, found, of_each = ngram_features(texts, ngram_size, length)
        counts.append(np.bincount(owners, minlength=len(texts)))
        columns.append(found.astype(np.int32))
        values.append(of_each)
        targets.append(target)
        weights.append(np.broadcast_to(weight, target.shape))
        size += len(found) + target.size
    features = _Features(np.concatenate(counts), np.concatenate(columns), np.concatenate(values))
    return features, np.concatenate(targets), np.concatenate(weights)


def _solve(
    features: _Features, weights: NDArray[np.float32], targets: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Conjugate gradients for all labels side by side."""
    roots = np.sqrt(weights)
    errors = roots * targets
    residual = features.back(roots * errors)
    table = np.zeros_like(residual)
    direction, size = residual, (residual**2).sum(axis=0)
    enough = np.maximum(TOLERANCE**2 * size, NOTHING**2)
    for _ in range(STEPS):
        if (size <= enough).all():
            break
        image = roots * features.times(direction)
        curvature = (image**2).sum(axis=0) + PENALTY * (direction**2).sum(axis=0)
        step = np.where(size > enough, size / np.maximum(curvature, 1e-30), 0.0).astype("float32")
        table += step * direction
        errors -= step * image
        residual = features.back(roots * errors) - PENALTY * table
        before, size = size, (residual**2).sum(axis=0)
        direction = residual + (size / np.maximum(before, 1e-30)) * direction
    return table
