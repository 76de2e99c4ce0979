"""A table of n-grams that is solved, not learnt: a ridge regression on the labels.

A linear model has a best answer, which needs no learning rate: Adam, which takes a step of one
size for rare and common n-grams, knows the training texts by heart before it is there.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.pieces import texts_of
from spacy_bert_zh.textcat.hashing import NgramTable, ngram_features
from spacy_bert_zh.textcat.ngrams import HASHES, is_solved, set_table

if TYPE_CHECKING:
    from scipy.sparse import csr_array

log = logging.getLogger(__name__)

PENALTY, STEPS, TOLERANCE = 0.3, 30, 1e-2
"""The ridge; conjugate gradients take so many steps at most, or until the residual is so small a
share of the first one."""
NOTHING = 1e-6
"""A residual that is as short is rounding alone: going after it would divide by next to nothing."""
MOST = 40_000_000
"""N-grams and labels of texts that are kept in memory, eight bytes each, and some five times that
while they are solved; further texts are left out, with a warning."""

FOLDS, ENOUGH = 5, 2_000
"""Texts are held out by fifths, until there are so many, to find how sure n-grams may be."""
SCALES = np.geomspace(1.0, 256.0, 33)
"""What a sum of n-grams is multiplied by to be a logit: what is tried. It takes more where
labels are many and texts few: 4 for two labels, 32 for 67."""
POOLED = 0.55
"""In a pool with a network, n-grams speak with so much of the logits that are right for them alone
where labels exclude each other: both have learnt from the same texts, and mostly agree."""

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
    exclusive, parts = not model.attrs["multi_label"], float(model.attrs.get("parts", 1))
    ngram_size, length = linear.attrs["ngram_size"], linear.get_dim("nI")
    table, scale = solve_table(batches, ngram_size, length, exclusive)
    if parts > 1:
        scale *= (parts - 1) / parts * (POOLED if exclusive else 1.0)
    scale /= float(model.attrs["linear_rate"])
    set_table(linear, table._replace(weights=np.float32(scale) * table.weights))


def solve_table(
    batches: Texts, ngram_size: int, length: int, exclusive: bool = True
) -> tuple[NgramTable, float]:
    """Solve a table of n-grams for the least squares of texts' labels.

    Least is the sum of the weighted squares of (features · table + means of the targets − targets)
    and of PENALTY times the table's squares (Hoerl & Kennard 1970), where rare n-grams pay less, by
    the square of their inverse document frequency (Spärck Jones 1972), if texts held out are told
    better so; by conjugate gradients on the normal equations of each label (CGLS: Björck 1996,
    section 7.4).

    Args:
        batches: What to learn from.
        ngram_size: The longest n-gram, in characters.
        length: The most rows.
        exclusive: Whether a text has one label.

    Returns:
        The table; and the number that makes logits of a text's sums, with the least log loss on
        texts held out.
    """
    keys, features, targets, weights = _gather(batches, ngram_size, length)
    rare, scale = _choose(features, targets, weights, exclusive)
    table = _solve(features, targets, weights, rare)
    return NgramTable(table, ngram_size, HASHES, keys), scale


def _choose(
    features: "csr_array",
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    exclusive: bool,
) -> tuple[bool, float]:
    """Whether rare n-grams pay less, and the scale, by what texts held out lose."""
    fold_of = np.random.default_rng(0).integers(0, FOLDS, len(targets))
    losses, seen = np.zeros((2, len(SCALES))), 0
    for fold in range(FOLDS):
        if seen >= ENOUGH:
            break
        out = fold_of == fold
        learnt = features[~out], targets[~out], weights[~out]
        prior = _log_odds(_means(*learnt[1:]), exclusive)
        for rare in (False, True):
            sums = features[out] @ _solve(*learnt, rare)
            for number, scale in enumerate(SCALES):
                logits = np.float32(scale) * sums + prior
                losses[int(rare), number] += _loss(logits, targets[out], weights[out], exclusive)
        seen += int(out.sum())
    best = np.unravel_index(losses.argmin(), losses.shape)
    return bool(best[0]), float(SCALES[best[1]])


def _means(targets: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return (weights * targets).sum(axis=0) / np.maximum(weights.sum(axis=0), np.float32(1e-12))


def _log_odds(means: NDArray[np.float32], exclusive: bool) -> NDArray[np.float32]:
    means = np.clip(means, 1e-4, 1 - 1e-4)
    return np.log(means) if exclusive else np.log(means) - np.log1p(-means)


def _loss(
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    exclusive: bool,
) -> float:
    """The weighted log loss of texts, summed."""
    if exclusive:
        norms = np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return float((weights * targets * (norms - logits)).sum())
    return float((weights * (np.logaddexp(0, logits) - targets * logits)).sum())


def _gather(
    batches: Texts, ngram_size: int, length: int
) -> tuple[NDArray[np.integer[Any]], "csr_array", NDArray[np.float32], NDArray[np.float32]]:
    """Keys, features (texts, keys), targets and weights (texts, labels), of texts that teach."""
    try:
        from scipy.sparse import csr_array
    except ImportError:
        raise missing_extra("scipy", "torch", "NgramLinear.v2, to be solved,") from None
    counts: list[NDArray[np.int64]] = []
    columns, values, targets, weights = [], [], [], []
    size = 0
    for docs, target, weight in batches:
        if size > MOST:
            count = sum(len(lengths) for lengths in counts)
            log.warning("n-grams are solved by the first %s texts: memory is limited", f"{count:,}")
            break
        known = cast(NDArray[np.bool_], weight.any(axis=1))
        texts = [text for text, teaches in zip(texts_of(docs), known, strict=True) if teaches]
        owners, found, of_each = ngram_features(texts, ngram_size, HASHES)
        counts.append(np.bincount(owners, minlength=len(texts)))
        columns.append(found.astype(np.int32))
        values.append(of_each)
        targets.append(target[known])
        weights.append(np.broadcast_to(weight, target.shape)[known])
        size += len(found) + target.size
    keys, places = np.unique(np.concatenate(columns), return_inverse=True)
    ends = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    features = csr_array((np.concatenate(values), places, ends), shape=(len(ends) - 1, len(keys)))
    if len(keys) > length:
        kept = _common(np.bincount(places), length)
        log.info("the commonest %s of %s n-grams have a row", f"{kept.sum():,}", f"{len(keys):,}")
        keys, features = keys[kept], features[:, kept]
    return keys, features, np.concatenate(targets), np.concatenate(weights)


def _common(texts: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Which n-grams are kept, by how many texts each has: all in more than one, two or more."""
    return texts > np.sort(texts)[-most - 1]


def _solve(
    features: "csr_array",
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    rare: bool,
) -> NDArray[np.float32]:
    """The table by conjugate gradients for all labels side by side; shape (rows, labels)."""
    factors = _rarity(features) if rare else np.ones(features.shape[1], dtype=np.float32)
    features = features.multiply(factors[None]).tocsr()
    by_row, roots = features.T.tocsr(), np.sqrt(weights)
    errors = roots * (targets - _means(targets, weights))
    residual = by_row @ (roots * errors)
    table = np.zeros_like(residual)
    direction, size = residual, (residual**2).sum(axis=0)
    enough = np.maximum(TOLERANCE**2 * size, NOTHING**2)
    for _ in range(STEPS):
        if (size <= enough).all():
            break
        image = roots * (features @ direction)
        curvature = (image**2).sum(axis=0) + PENALTY * (direction**2).sum(axis=0)
        step = np.where(size > enough, size / np.maximum(curvature, 1e-30), 0.0).astype("float32")
        table += step * direction
        errors -= step * image
        residual = by_row @ (roots * errors) - PENALTY * table
        before, size = size, (residual**2).sum(axis=0)
        direction = residual + (size / np.maximum(before, 1e-30)) * direction
    return cast(NDArray[np.float32], factors[:, None] * table)


def _rarity(features: "csr_array") -> NDArray[np.float32]:
    """The inverse document frequency of each n-gram; shape (rows,).

    log((1 + texts) / (1 + texts with it)) + 1, as scikit-learn's `TfidfTransformer` has it, in a
    unit in which the squares of all texts add up to what they do without it.
    """
    texts, rows = features.shape
    found = np.log((1 + texts) / (1 + np.bincount(features.indices, minlength=rows))) + 1
    before, after = ((features.data * of) ** 2 for of in (1.0, found[features.indices]))
    return (found * np.sqrt(before.sum() / max(after.sum(), 1e-12))).astype(np.float32)
