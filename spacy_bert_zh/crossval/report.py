"""What a cross-validation found: figures of each fold, and of all rows together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.evaluate import (
    Predictions,
    answer_columns,
    answer_figures,
    calibration_error,
    make_claims,
    make_environment,
)
from spacy_bert_zh.evaluate.metrics import measure
from spacy_bert_zh.evaluate.report import describe_answers

FIGURES = {"accuracy": "accuracy", "macro_f1": "macro F1", "micro_f1": "micro F1"}
LEVEL = 0.95


def make_report(
    name: str, predictions: Predictions, fold_of: NDArray[np.int64], learnt: list[int]
) -> dict[str, Any]:
    """Gather all that people want to know.

    Args:
        name: Of the corpus.
        predictions: What was said of all its rows.
        fold_of: The fold of each row; int (rows,).
        learnt: Rows that the pipeline of each fold learnt from.
    """
    columns = answer_columns(predictions)
    folds = []
    for fold, count in enumerate(learnt):
        held = fold_of == fold
        figures = answer_figures(columns[held].sum(axis=0), int(held.sum()))
        claims = make_claims(
            predictions.scores[held],
            predictions.gold[held],
            predictions.known[held],
            predictions.exclusive,
        )
        one = {key: float(figures[key]) for key in FIGURES}
        one["calibration_error"] = calibration_error(claims)
        folds.append({"learnt": count, "judged": int(held.sum()), **one})
    return {
        "corpus": {"name": name, "texts": len(fold_of)},
        "exclusive": predictions.exclusive,
        "labels": predictions.labels,
        "folds": folds,
        "figures": {key: spread([one[key] for one in folds], learnt, folds) for key in FIGURES},
        **measure(predictions),
    }


def spread(values: list[float], learnt: list[int], folds: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of folds, and how far it would swing with other rows to learn from and to judge by.

    Folds share most of what they learn from, so their deviation by the root of their number is far
    too small. The variance of the mean is that of the folds times 1/k + judged/learnt, and the
    interval Student's with k - 1 degrees of freedom (Nadeau & Bengio 2003, *Inference for the
    generalization error*, equation 8).

    Args:
        values: A figure of each fold.
        learnt: Rows that each learnt from.
        folds: With the rows that each was ``judged`` by.

    Returns:
        ``mean``, ``deviation`` between folds, and ``interval`` of 95 %.
    """
    from scipy.stats import t

    count = len(values)
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    judged = float(np.mean([one["judged"] for one in folds]))
    error = deviation * float(np.sqrt(1 / count + judged / np.mean(learnt)))
    reach = error * float(t.ppf((1 + LEVEL) / 2, count - 1))
    interval = [max(mean - reach, 0.0), min(mean + reach, 1.0)]
    return {"mean": mean, "deviation": deviation, "interval": interval}


def render_page(report: dict[str, Any], predictions: Predictions) -> str:
    """Render the HTML page; texts and labels in it are escaped.

    Args:
        report: The content of ``report.json``.
        predictions: What it was made of.
    """
    template = make_environment("spacy_bert_zh.crossval").get_template("crossval.html")
    answers = describe_answers(report, predictions)
    return template.render(report=report, metrics=report, names=FIGURES, **answers)


def lines(report: dict[str, Any]) -> list[str]:
    """What a terminal shows in the end."""
    shown = []
    for key, name in FIGURES.items():
        one = report["figures"][key]
        low, high = one["interval"]
        shown.append(
            f"{name} {one['mean']:.4f} ± {one['deviation']:.4f} over {len(report['folds'])} folds "
            f"(95 %: {low:.4f} to {high:.4f})"
        )
    return [*shown, f"calibration error {report['reliability']['ece']:.4f}"]
