"""What linear models say of rows that they haven't learnt from: of n-grams, of a BERT's vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.audit.options import Options
from spacy_bert_zh.folds import Rows, deal

MOST_CHARACTERS = 2_000
_BATCH = 256  # texts whose vectors are made together
# Of the linear SVM, and of the ridge regression for vectors in units of their spread; chosen on
# NLPCC-2017.
_COST, _RIDGE = 0.3, 300.0

Decide = Callable[[Any, Rows, NDArray[np.bool_], NDArray[np.float64]], None]
"""Fills in the decisions about held rows, by a model that learnt from the others."""


def make_features(texts: list[str]) -> Any:
    """TF-IDF of character n-grams; sparse (rows, n-grams), rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 2 if len(texts) > 1_000 else 1
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=least, dtype=np.float32
    )
    return vectorizer.fit_transform([text[:MOST_CHARACTERS] for text in texts])


def make_vectors(texts: list[str]) -> NDArray[np.float32]:
    """Mean vectors of the BERT that ships, as it is, in units of their spread; (rows, width)."""
    import spacy
    from thinc.api import to_numpy

    nlp = spacy.blank("zh")
    backbone = spacy.registry.architectures.get("spacy_bert_zh.TorchBackbone.v1")(max_windows=1)
    backbone.initialize()
    parts = []
    for start in range(0, len(texts), _BATCH):
        docs = [nlp.make_doc(text[:MOST_CHARACTERS]) for text in texts[start : start + _BATCH]]
        parts.append(to_numpy(backbone.predict(docs)))
    vectors = np.concatenate(parts)
    return np.asarray((vectors - vectors.mean(axis=0)) / np.maximum(vectors.std(axis=0), 1e-6))


def judge(
    rows: Rows, features: Any, groups: NDArray[np.int64], options: Options
) -> NDArray[np.float64]:
    """Score each row by linear models that learnt from the other folds.

    Args:
        rows: The corpus.
        features: What they learn from, see `make_features`.
        groups: Rows of one group stand in one fold; int (rows,).
        options: The folds, and whether vectors are learnt from, too: their scores and those by
            n-grams are averaged.

    Returns:
        Probabilities; float (rows, labels).
    """
    fold_of = deal(rows.gold, groups, [1] * options.folds, options.seed)
    scores = _score(rows, features, fold_of, _by_ngrams)
    if options.vectors:
        scores = (scores + _score(rows, make_vectors(rows.texts), fold_of, _by_vectors)) / 2
    return scores


def _score(
    rows: Rows, features: Any, fold_of: NDArray[np.int64], decide: Decide
) -> NDArray[np.float64]:
    decisions = np.full(rows.gold.shape, -1.0)  # of a label that the other folds lack
    for fold in range(fold_of.max() + 1):
        held = fold_of == fold
        if held.any() and not held.all():
            decide(features, rows, held, decisions)
    calibrate = _softmax if rows.exclusive else _sigmoid
    return calibrate(decisions, rows.gold)


def _by_vectors(
    vectors: Any, rows: Rows, held: NDArray[np.bool_], decisions: NDArray[np.float64]
) -> None:
    """Decide by a ridge regression of 1 for a label and -1 for none."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=_RIDGE).fit(vectors[~held], 2.0 * rows.gold[~held] - 1.0)
    decisions[held] = model.predict(vectors[held])


def _by_ngrams(
    features: Any, rows: Rows, held: NDArray[np.bool_], decisions: NDArray[np.float64]
) -> None:
    """Decide by the distance to the hyperplanes of linear SVMs."""
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
