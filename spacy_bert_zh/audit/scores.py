"""What models say of rows that they haven't learnt from: a linear model of n-grams."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.audit.corpus import Rows

MOST_CHARACTERS = 2_000
_COST = 0.3  # of the linear SVM, chosen on NLPCC-2017


@dataclass(frozen=True)
class Scores:
    """Scores of each row by a model that hasn't seen it.

    Attributes:
        values: Probabilities; float (rows, labels).
        features: TF-IDF of character n-grams; sparse (rows, n-grams), rows of length 1.
    """

    values: NDArray[np.float64]
    features: Any


def score_rows(rows: Rows, groups: NDArray[np.int64], folds: int, seed: int) -> Scores:
    """Score each row by a linear SVM on TF-IDF that learnt from the other folds.

    Args:
        rows: The corpus.
        groups: Rows of one group stand in one fold; int (rows,).
        folds: How many models there are.
        seed: Seed of the folds.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text[:MOST_CHARACTERS] for text in rows.texts]
    least = 2 if len(texts) > 1_000 else 1
    features = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=least, dtype=np.float32
    ).fit_transform(texts)
    fold_of = _folds(rows, groups, folds, seed)
    decisions = np.full(rows.gold.shape, -1.0)  # of a label that the other folds lack
    for fold in range(folds):
        held = fold_of == fold
        if held.any() and not held.all():
            _decide(features, rows, held, decisions)
    calibrate = _softmax if rows.exclusive else _sigmoid
    return Scores(calibrate(decisions, rows.gold), features)


def _folds(rows: Rows, groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row: groups stay together, labels are dealt out evenly."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    label = rows.gold[first].argmax(axis=1)
    order = np.lexsort((np.random.default_rng(seed).random(len(first)), label))
    fold_of = np.empty(len(first), dtype=np.int64)
    fold_of[order] = np.arange(len(first)) % folds
    return fold_of[inverse]


def _decide(
    features: Any, rows: Rows, held: NDArray[np.bool_], decisions: NDArray[np.float64]
) -> None:
    """Fill in the distances of rows to the hyperplanes of models that learnt from the others."""
    from sklearn.svm import LinearSVC

    learnt, known = features[~held], rows.gold[~held]
    there = np.flatnonzero(known.any(axis=0) & ~known.all(axis=0))
    if not rows.exclusive or len(there) == 2:
        for label in there:
            model = LinearSVC(C=_COST).fit(learnt, known[:, label])
            decisions[held, label] = model.decision_function(features[held])
    elif len(there):
        model = LinearSVC(C=_COST).fit(learnt, known.argmax(axis=1))
        decisions[np.ix_(held, model.classes_)] = model.decision_function(features[held])


def _softmax(decisions: NDArray[np.float64], gold: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities by one temperature (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_scale: float) -> float:
        return -float(log_softmax(decisions * np.exp(log_scale), axis=1)[gold].mean())

    best = minimize_scalar(loss, bounds=(-2.0, 4.0), method="bounded").x
    return np.asarray(np.exp(log_softmax(decisions * np.exp(best), axis=1)))


def _sigmoid(decisions: NDArray[np.float64], gold: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities by a slope and a shift that all labels share (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(decisions.reshape(-1, 1), gold.ravel())
    return np.asarray(model.predict_proba(decisions.reshape(-1, 1))[:, 1]).reshape(gold.shape)
