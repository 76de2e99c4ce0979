"""Stacking: a linear model learns from held-out rows how far to believe each run.

What a run says of its own training rows is surer than it will ever be again, so it learns from
what a `crossval` of each run's config said (Wolpert 1992, *Stacked generalization*; Ting & Witten
1999, *Issues in stacked generalization*, on scores in place of answers).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.ensemble.mixture import Floats, Mixture
from spacy_bert_zh.ensemble.runs import Run, find_logits
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.folds import Rows, deal, read_complete, read_rows

FOLDS = 5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the penalty to choose from (scikit-learn's ``C``)."""
ENOUGH = 5
"""Rows with a label, and without it, from which on that label is learnt by itself."""


def stack(runs: Sequence[Run], train: Path, crossvalidated: Sequence[Path]) -> Mixture:
    """Learn a mixture for runs.

    Args:
        runs: With the same labels.
        train: The corpus that they, and the cross-validations, learnt from.
        crossvalidated: The folder of `crossval` for each run's config, in their order.

    Returns:
        For labels in the order of the runs' own.

    Raises:
        BertZhError: Folders and runs don't go together.
    """
    if len(crossvalidated) != len(runs):
        raise BertZhError(
            f"{len(runs)} pipelines, and {len(crossvalidated)} folders of --crossvalidated: name "
            "that of each pipeline's config, in their order"
        )
    if runs[0].pipe.cfg.get("taxonomy"):
        raise BertZhError(
            "What is said of labels in a tree isn't linear in their logits, which stacking learns "
            "from: take --method committee"
        )
    rows = read_rows(train)
    labels = runs[0].parts.labels
    if set(rows.labels) != set(labels):
        one = min(set(rows.labels) ^ set(labels))
        raise BertZhError(f"{train} and {runs[0].name} have different labels: only one has {one!r}")
    exclusive = runs[0].parts.exclusive_classes
    if exclusive and not rows.exclusive:
        raise BertZhError(
            f"Not all rows of {train} have exactly one label, as {runs[0].name} has it: take the "
            "corpus that it learnt from, or leave the others out"
        )
    scores = np.stack([read_complete(folder, rows) for folder in crossvalidated])
    return learn(rows, scores, exclusive).ordered(rows.labels, labels)


def learn(rows: Rows, scores: Floats, exclusive: bool) -> Mixture:
    """Learn a mixture from scores that don't know the rows.

    Where labels exclude each other, a logistic regression learns from all logits of all runs, with
    the penalty of least log loss on rows held out once more. Else each label learns from its own
    logits, and takes the mean of them if it has too few rows for that.

    Args:
        rows: With their true labels.
        scores: What was said of them; (runs, rows, labels).
        exclusive: Whether labels exclude each other, whatever the rows happen to have.
    """
    logits = find_logits(scores, exclusive)
    if not exclusive:
        return _learn_each(rows, logits)
    logits = logits - logits.mean(axis=2, keepdims=True)  # all that softmax has left of them
    runs, count, labels = logits.shape
    features = logits.transpose(1, 0, 2).reshape(count, runs * labels)
    gold = rows.gold.argmax(axis=1)
    fold_of = deal(rows.gold, np.arange(count), [1] * FOLDS, seed=0)
    losses = [_loss(features, gold, fold_of, strength) for strength in STRENGTHS]
    model = _fit(features, gold, STRENGTHS[int(np.argmin(losses))])
    weights, bias = _unfold(model, labels)
    matrices = weights.reshape(labels, runs, labels).transpose(1, 0, 2)
    return Mixture(matrices - matrices.mean(axis=2, keepdims=True), bias)


def _learn_each(rows: Rows, logits: Floats) -> Mixture:
    runs, _, labels = logits.shape
    matrices, bias = np.zeros((runs, labels, labels)), np.zeros(labels)
    for label, gold in enumerate(rows.gold.T):
        matrices[:, label, label] = 1 / runs
        if min(gold.sum(), (~gold).sum()) >= ENOUGH:
            model = _fit(logits[:, :, label].T, gold, 1.0)
            matrices[:, label, label], bias[label] = model.coef_[0], model.intercept_[0]
    return Mixture(matrices, bias)


def _fit(features: Floats, gold: NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1_000).fit(features, gold)


def _loss(
    features: Floats, gold: NDArray[np.int64], fold_of: NDArray[np.int64], strength: float
) -> float:
    """The log loss on rows held out; labels that the other folds lack aren't counted."""
    total, count = 0.0, 0
    for fold in np.unique(fold_of):
        held = fold_of == fold
        model = _fit(features[~held], gold[~held], strength)
        logs = model.predict_log_proba(features[held])
        found = gold[held][:, None] == model.classes_
        total, count = total - logs[found].sum(), count + int(found.sum())
    return float(total) / count


def _unfold(model: Any, labels: int) -> tuple[Floats, Floats]:
    """Weights (labels, features) and bias (labels,): of two labels a model has one row."""
    weights, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    every = np.zeros((labels, weights.shape[1])), np.full(labels, bias.min())
    every[0][model.classes_], every[1][model.classes_] = weights, bias
    return every
