"""From what a pipeline said about a corpus to numbers; those of answers are scikit-learn's."""

from dataclasses import replace
from typing import Any

import numpy as np

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.evaluate.bootstrap import answer_columns, answer_figures, intervals
from spacy_bert_zh.evaluate.learnt import best_constant
from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.evaluate.reliability import (
    brier_terms,
    likelihood_terms,
    make_claims,
    measure_reliability,
)

try:
    from sklearn import metrics as sk
except ImportError:
    raise missing_extra("scikit-learn", "plots", "The command 'evaluate'") from None

LENGTH_BINS = 8


def measure(predictions: Predictions) -> dict[str, Any]:
    """All measures of ``metrics.json``, with spaCy's conventions for precision, recall, F1.

    They are 0 where they divide by 0; only ROC-AUC, undefined there, is null. The macro average
    is that of the classes that some text has (spaCy counts the others as 0); those that none has
    are named in ``absent``. ``constant`` is the best answer that never changes.
    """
    gold, predicted = predictions.gold, predictions.predicted
    cells = gold, predicted, predictions.scores, predictions.known
    columns = zip(*(matrix.T for matrix in cells), strict=True)
    classes = [measure_class(*column) for column in columns]
    support = gold.sum(axis=0)
    said = predictions.scores, gold, predictions.known, predictions.exclusive
    claims = make_claims(*said)
    terms = {"brier": brier_terms(*said), "nll": likelihood_terms(*said)}
    return {
        "accuracy": float(sk.accuracy_score(gold, predicted)),
        "averages": {
            "macro": average(classes, support > 0),
            "micro": measure_class(*(matrix.ravel() for matrix in cells)),
            "weighted": average(classes, support),
        },
        "absent": [predictions.labels[i] for i in np.flatnonzero(support == 0)],
        "constant": best_constant(
            predictions.labels, support, predictions.known.sum(axis=0), predictions.exclusive
        ),
        "classes": dict(zip(predictions.labels, classes, strict=True)),
        "confusion": count_confusions(predictions) if predictions.exclusive else None,
        "lengths": measure_lengths(predictions),
        "reliability": measure_reliability(claims, terms, predictions.exclusive),
        "intervals": intervals(predictions, claims, terms),
    }


def measure_at_half(predictions: Predictions) -> dict[str, float]:
    """F1 if labels counted as given from 0.5: what thresholds of their own are measured against."""
    given = ((predictions.scores >= 0.5) & predictions.known).astype(int)
    sums = answer_columns(replace(predictions, predicted=given)).sum(axis=0)
    figures = answer_figures(sums, len(given))
    return {name: float(figures[name]) for name in ("macro_f1", "micro_f1")}


def measure_class(
    gold: np.ndarray, predicted: np.ndarray, scores: np.ndarray, known: np.ndarray
) -> dict[str, Any]:
    """Measures of one class; arguments are columns of `Predictions`, shape (texts,)."""
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        gold, predicted, average="binary", zero_division=0
    )
    _, fp, fn, tp = sk.confusion_matrix(gold, predicted, labels=[0, 1]).ravel().tolist()
    both = len(np.unique(gold[known])) == 2
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "roc_auc": float(sk.roc_auc_score(gold[known], scores[known])) if both else None,
        "support": tp + fn,
        "tp": tp,
        "fp": fp,
        "fn": fn,
    }


def average(classes: list[dict[str, Any]], weights: np.ndarray) -> dict[str, float | None]:
    """Average the measures of classes, as far as they are defined."""

    def mean(key: str) -> float | None:
        defined = [i for i, one in enumerate(classes) if one[key] is not None]
        if not weights[defined].sum():
            return None
        return float(np.average([classes[i][key] for i in defined], weights=weights[defined]))

    return {key: mean(key) for key in ("precision", "recall", "f1", "roc_auc")}


def count_confusions(predictions: Predictions) -> dict[str, dict[str, int]]:
    """The confusion matrix without its zeros: true class → predicted class → texts."""
    matrix = confusion_matrix(predictions)
    labels = predictions.labels
    return {
        labels[row]: {labels[i]: int(counts[i]) for i in np.flatnonzero(counts)}
        for row, counts in enumerate(matrix)
    }


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Number of texts of each true (rows) and predicted (columns) exclusive class."""
    truth, answer = predictions.gold.argmax(axis=1), predictions.predicted.argmax(axis=1)
    return sk.confusion_matrix(truth, answer, labels=range(len(predictions.labels)))


def measure_lengths(predictions: Predictions) -> list[dict[str, Any]]:
    """Accuracy by length of text, in bins that hold about the same number of texts."""
    quantiles = np.linspace(0, 1, LENGTH_BINS + 1)[1:]
    ends = np.unique(np.quantile(predictions.lengths, quantiles, method="higher"))
    bins = np.searchsorted(ends, predictions.lengths)
    result = []
    for i in range(len(ends)):
        inside = bins == i
        result.append(
            {
                "from": int(predictions.lengths[inside].min()),
                "to": int(predictions.lengths[inside].max()),
                "texts": int(inside.sum()),
                "accuracy": float(
                    sk.accuracy_score(predictions.gold[inside], predictions.predicted[inside])
                ),
            }
        )
    return result
