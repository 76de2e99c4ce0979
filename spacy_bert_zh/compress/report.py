"""What a chain of ever smaller forms found: a table, a picture, what is noted in the pipeline."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from spacy_bert_zh.compress.budget import Budget
from spacy_bert_zh.compress.measuring import Point
from spacy_bert_zh.evaluate import make_environment


def make_report(points: Sequence[Point], budget: Budget, loss: float, texts: int) -> dict[str, Any]:
    """Gather all that people want to know.

    Args:
        points: Of all forms, the given pipeline first.
        budget: What was asked for.
        loss: Accuracy that may be lost.
        texts: How many they were measured on.

    Returns:
        ``chosen`` is the number of the form that was taken, or None.
    """
    last = points[-1]
    is_within = last.lost <= loss and budget.met(last.megabytes, last.times)
    chosen = len(points) - 1 if is_within else None
    noted = {
        "steps": [point.name for point in points[1:]][-1:],
        "texts": texts,
        "accuracy_before": points[0].accuracy,
        "accuracy": last.accuracy,
        "agreement": last.agreement,
        "most_lost": last.lost,
        "megabytes": last.megabytes,
        "times": last.times,
    }
    if last.reach_network is not None:
        noted["reach_network"] = last.reach_network
    return {
        "budget": budget._asdict(),
        "loss": loss,
        "texts": texts,
        "points": [asdict(point) for point in points],
        "chosen": chosen,
        "noted": noted,
    }


def render_page(report: dict[str, Any]) -> str:
    """Render the HTML page.

    Args:
        report: What `make_report` returns.
    """
    from markupsafe import Markup

    from spacy_bert_zh.plots import curves, to_svg

    pictures = []
    for key, name in (("megabytes", "MB"), ("times", "times as fast")):
        points = sorted(report["points"], key=lambda one: one[key])
        line = [(one[key], one["accuracy"]) for one in points]
        band = [(one[key], one["low"], one["high"]) for one in points]
        drawn = curves({"interval of 95 %": line, "accuracy": line}, name, "accuracy", band)
        pictures.append(Markup(to_svg(drawn)))
    template = make_environment("spacy_bert_zh.compress").get_template("compress.html")
    return template.render(report=report, pictures=pictures)
