"""What people read of an evaluation: a self-contained HTML page."""

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
from markupsafe import Markup

from spacy_bert_zh.evaluate.history import draw_history
from spacy_bert_zh.evaluate.metrics import confusion_matrix
from spacy_bert_zh.evaluate.page import make_environment
from spacy_bert_zh.evaluate.predictions import MISTAKES, Predictions, rank_mistakes
from spacy_bert_zh.plots import bars, confusion_heatmap, square, to_svg

PAIRS = 12
EXAMPLES = 3  # texts for each confused pair
OPEN_NODES = 100
"""A tree of more labels is folded up to its tops."""


def render_report(
    metrics: dict[str, Any],
    predictions: Predictions,
    history: Sequence[dict[str, Any]] = (),
    reasons: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """Render the HTML page; texts and labels in it are escaped.

    Args:
        metrics: The content of ``metrics.json``.
        predictions: What the metrics were computed from.
        history: That of the pipeline's training, if there is one.
        reasons: Why texts got their labels, as HTML, by their numbers.
    """
    template = make_environment("spacy_bert_zh.evaluate").get_template("report.html")
    picture = Markup(draw_history(history)) if history else None
    answers = describe_answers(metrics, predictions, reasons)
    answers |= {"nodes": describe_nodes(metrics), "open_nodes": OPEN_NODES}
    return template.render(metrics=metrics, history_plot=picture, **answers)


def describe_nodes(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The labels of a tree from top to bottom, each followed by those below it.

    Returns:
        Each with its ``label`` and ``depth``, how many labels lie ``below`` it, the ``weakest`` of
        these by F1 (of those that texts have, if any), and how many labels' lists it ``ends``.
    """
    nodes = metrics["tree"]["nodes"] if "tree" in metrics else []
    depths = [*(node["depth"] for node in nodes), 0]
    found = []
    for place, node in enumerate(nodes):
        end = place + 1
        while end < len(nodes) and depths[end] > node["depth"]:
            end += 1
        below = [one["label"] for one in nodes[place + 1 : end]]
        classes = {label: metrics["classes"][label] for label in below}
        weakest = min(
            below, key=lambda one: (not classes[one]["support"], classes[one]["f1"]), default=None
        )
        ends = max(0, node["depth"] - depths[place + 1])
        found.append({**node, "below": len(below), "weakest": weakest, "ends": ends})
    return found


def describe_answers(
    metrics: dict[str, Any],
    predictions: Predictions,
    reasons: Mapping[int, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """What ``answers.html`` shows, which is a part of any page about answers to labelled texts.

    Args:
        metrics: As `measure` has them.
        predictions: What they were computed from.
        reasons: Why texts got their labels, as HTML, by their numbers.
    """
    order = rank_mistakes(predictions)
    return {
        "exclusive": predictions.exclusive,
        "classes_plot": plot_classes(metrics, predictions),
        "lengths_plot": plot_lengths(metrics),
        "reliability_plot": plot_reliability(metrics),
        "risk_plot": plot_risk(metrics),
        "pairs": confused_pairs(predictions, order),
        "mistakes": [
            {**describe_mistake(predictions, row), "why": Markup(reasons.get(row, ""))}
            for row in order[:MISTAKES].tolist()
        ],
        "wrong": len(order),
    }


def plot_classes(metrics: dict[str, Any], predictions: Predictions) -> Markup:
    """The confusion matrix, or the F1 of each class if a text can have several."""
    if predictions.exclusive:
        return Markup(to_svg(confusion_heatmap(confusion_matrix(predictions), predictions.labels)))
    classes = [metrics["classes"][label] for label in predictions.labels]
    notes = [f"{one['f1']:.2f} ({one['support']:,})" for one in classes]
    values = [one["f1"] for one in classes]
    return Markup(to_svg(bars(predictions.labels, values, notes, "F1 (texts)")))


def plot_lengths(metrics: dict[str, Any]) -> Markup:
    """Accuracy by length of text."""
    bins = metrics["lengths"]
    names = [length_range(one["from"], one["to"]) for one in bins]
    notes = [f"{one['accuracy']:.3f} ({one['texts']:,})" for one in bins]
    values = [one["accuracy"] for one in bins]
    return Markup(to_svg(bars(names, values, notes, "accuracy (texts)")))


def plot_reliability(metrics: dict[str, Any]) -> Markup:
    """The reliability diagram: score against the share that holds, beside the diagonal."""
    points = [(one["score"], one["holds"]) for one in metrics["reliability"]["bins"]]
    return Markup(to_svg(square(points, "score", "share that is right", diagonal=True)))


def plot_risk(metrics: dict[str, Any]) -> Markup | None:
    """The risk–coverage curve, where there is one."""
    curve = metrics["reliability"]["risk_coverage"]
    if curve is None:
        return None
    points = [(one["coverage"], one["risk"]) for one in curve]
    return Markup(to_svg(square(points, "share answered", "share of these that is wrong")))


def length_range(low: int, high: int) -> str:
    """A range in words; a single number where both ends are one."""
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def confused_pairs(predictions: Predictions, order: np.ndarray) -> list[dict[str, Any]]:
    """The most frequent pairs of a missed label and one given instead, with examples."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row in order:
        missed = np.flatnonzero(predictions.gold[row] > predictions.predicted[row])
        given = np.flatnonzero(predictions.gold[row] < predictions.predicted[row])
        for pair in product(missed.tolist(), given.tolist()):
            rows.setdefault(pair, []).append(row)
    # By label where counts are equal.
    ranked = sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))
    support = predictions.gold.sum(axis=0)
    return [
        {
            "gold": predictions.labels[missed],
            "predicted": predictions.labels[given],
            "count": len(found),
            "share": len(found) / support[missed],
            "examples": [predictions.excerpts[row] for row in found[:EXAMPLES]],
        }
        for (missed, given), found in ranked[:PAIRS]
    ]


def describe_mistake(predictions: Predictions, row: int) -> dict[str, Any]:
    """A text with its true and its predicted labels, each with the pipeline's score."""

    def scored(chosen: np.ndarray) -> list[tuple[str, float]]:
        columns = np.flatnonzero(chosen[row]).tolist()
        return [(predictions.labels[i], float(predictions.scores[row, i])) for i in columns]

    return {
        "text": predictions.excerpts[row],
        "gold": scored(predictions.gold),
        "predicted": scored(predictions.predicted),
    }
