"""What a curve found: figures by the number of rows, a law through them, a forecast."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from spacy_bert_zh.curve.law import Forecast, forecast
from spacy_bert_zh.evaluate import answer_columns, answer_figures, make_environment, resample
from spacy_bert_zh.folds import Judged, Rows, to_predictions
from spacy_bert_zh.plots import curves, to_svg

Run = tuple[float, int, int, Judged]
"""Share, seed, rows learnt from, what was said."""

FIGURES = {"accuracy": "accuracy", "macro_f1": "macro F1", "micro_f1": "micro F1"}
TIMES = 2
"""How many times the rows the forecast is for."""
POINTS = 40
POINT = ("rows", "value", "low", "high")


def make_report(
    name: str, dev_name: str, rows: Rows, dev: Rows, runs: Sequence[Run]
) -> dict[str, Any]:
    """Gather all that people want to know.

    Args:
        name: Of the corpus.
        dev_name: Of the texts to measure by.
        rows: The corpus.
        dev: The texts to measure by.
        runs: All trainings.
    """
    columns = [answer_columns(to_predictions(dev, judged)) for *_, judged in runs]
    key = "accuracy" if rows.exclusive else "micro_f1"
    learnt = np.array([float(count) for _, _, count, _ in runs])
    ahead = TIMES * learnt.max()
    found = forecast_figure(columns, key, learnt, np.geomspace(learnt.min(), ahead, POINTS))
    lines: list[dict[str, Any]] = [
        {"share": share, "seed": seed, "rows": count, **_figures(one), "f1": _f1(one, rows.labels)}
        for (share, seed, count, _), one in zip(runs, columns, strict=True)
    ]
    points = zip(found.rows, 1 - found.errors, 1 - found.high, 1 - found.low, strict=True)
    most = max(share for share, *_ in runs)
    now = [line[key] for line in lines if line["share"] == most]
    return {
        "corpus": {"name": name, "rows": len(rows.texts)},
        "dev": {"name": dev_name, "texts": len(dev.texts)},
        "figure": key,
        "labels": {
            label: int(count)
            for label, count in zip(rows.labels, rows.gold.sum(axis=0), strict=True)
        },
        "runs": lines,
        "now": {"rows": int(learnt.max()), "value": float(np.mean(now))},
        "law": asdict(found.law),
        "curve": [dict(zip(POINT, map(float, point), strict=True)) for point in points],
    }


def forecast_figure(
    columns: Sequence[NDArray[np.float64]],
    key: str,
    learnt: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> Forecast:
    """Forecast a figure of answers.

    Args:
        columns: What each text adds to the figures of each training; see `answer_columns`.
        key: The figure, as `answer_figures` calls it.
        learnt: Rows that each training learnt from; float (trainings,).
        rows: What to forecast for; float (points,).

    Returns:
        Errors: what is missing of 1.
    """
    errors = [1 - answer_figures(one.sum(axis=0), len(one))[key] for one in columns]
    # The same seed draws the same texts for all trainings.
    drawn = [1 - answer_figures(resample(one), len(one))[key] for one in columns]
    return forecast(learnt, np.array(errors), np.column_stack(drawn), rows)


def _figures(columns: NDArray[np.float64]) -> dict[str, float]:
    figures = answer_figures(columns.sum(axis=0), len(columns))
    return {key: float(figures[key]) for key in FIGURES}


def _f1(columns: NDArray[np.float64], labels: Sequence[str]) -> dict[str, float | None]:
    """F1 of each label; None where no text has it."""
    both, either, support = np.split(columns.sum(axis=0)[1:], 3)
    values = 2 * both / np.maximum(either, 1)
    return {
        label: float(value) if there else None
        for label, value, there in zip(labels, values, support, strict=True)
    }


def render_page(report: dict[str, Any]) -> str:
    """Render the HTML page; labels and names in it are escaped.

    Args:
        report: The content of ``report.json``.
    """
    key = report["figure"]
    series = {
        "power law": [(one["rows"], one["value"]) for one in report["curve"]],
        "measured": _means(report["runs"], key),
    }
    band = [(one["rows"], one["low"], one["high"]) for one in report["curve"]]
    picture = to_svg(curves(series, "training rows", FIGURES[key], band))
    template = make_environment("spacy_bert_zh.curve").get_template("curve.html")
    return template.render(
        report=report,
        names=FIGURES,
        picture=Markup(picture),
        ahead=report["curve"][-1],
        labels=_by_gain(report),
    )


def _means(runs: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """Rows and figure of each share, the means over its trainings."""
    shares = sorted({run["share"] for run in runs})
    alike = [[(run["rows"], run[key]) for run in runs if run["share"] == one] for one in shares]
    return [(float(rows), float(value)) for rows, value in (np.mean(one, axis=0) for one in alike)]


def _by_gain(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Labels, with the mean F1 after each share, those first that gained most at last."""
    shares = sorted({one["share"] for one in report["runs"]})
    found = []
    for label, rows in report["labels"].items():
        values = [
            [one["f1"][label] for one in report["runs"] if one["share"] == share]
            for share in shares
        ]
        if None not in values[0]:
            means = [float(np.mean(one)) for one in values]
            found.append({"label": label, "rows": rows, "f1": means})
    return sorted(found, key=lambda one: (one["f1"][-2] - one["f1"][-1], one["label"]))


def lines(report: dict[str, Any]) -> list[str]:
    """What a terminal shows in the end."""
    now, ahead, name = report["now"], report["curve"][-1], FIGURES[report["figure"]]
    return [
        f"{name} after {now['rows']:,} rows: {now['value']:.4f}",
        f"forecast after {ahead['rows']:,.0f} rows: {ahead['value']:.4f} "
        f"(95 %: {ahead['low']:.4f} to {ahead['high']:.4f})",
    ]
