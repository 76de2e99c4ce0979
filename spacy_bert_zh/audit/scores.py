"""What models say of rows that they haven't learnt from: a linear model of n-grams, or others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.folds import Rows, deal

MOST_CHARACTERS = 2_000
_COST = 0.3  # of the linear SVM, chosen on NLPCC-2017


def make_features(texts: list[str]) -> Any:
    """TF-IDF of character n-grams; sparse (rows, n-grams), rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 2 if len(texts) > 1_000 else 1
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=least, dtype=np.float32
    )
    return vectorizer.fit_transform([text[:MOST_CHARACTERS] for text in texts])


def score_rows(
    rows: Rows, features: Any, groups: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.float64]:
    """Score each row by a linear SVM that learnt from the other folds.

    Args:
        rows: The corpus.
        features: What it learns from, see `make_features`.
        groups: Rows of one group stand in one fold; int (rows,).
        folds: How many models there are.
        seed: Seed of the folds.

    Returns:
        Probabilities; float (rows, labels).
    """
    fold_of = deal(rows.gold, groups, [1] * folds, seed)
    decisions = np.full(rows.gold.shape, -1.0)  # of a label that the other folds lack
    for fold in range(folds):
        held = fold_of == fold
        if held.any() and not held.all():
            _decide(features, rows, held, decisions)
    calibrate = _softmax if rows.exclusive else _sigmoid
    return calibrate(decisions, rows.gold)


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
