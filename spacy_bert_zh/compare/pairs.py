"""What two pipelines said of the same texts, side by side."""

from typing import Any

import numpy as np

from spacy_bert_zh.evaluate import (
    Predictions,
    answer_columns,
    answer_figures,
    count_pairs,
    interval,
    mcnemar,
    resample,
    smallest_difference,
)

SHOWN = 0.05
"""P-values below it show a difference."""


def compare_pair(first: Predictions, second: Predictions) -> dict[str, Any]:
    """Measure a second pipeline beside the first one.

    Returns:
        ``accuracy`` and ``macro_f1``, each with ``first``, ``second``, their ``difference`` and its
        ``interval`` (95 %, paired bootstrap: both are measured on the same drawn texts); ``lost``
        and ``gained``, texts that only the first or only the second has right; the ``p_value`` of
        McNemar's test; ``smallest_difference``, see there; and the texts of ``lost`` and
        ``gained`` in ``differing``.
    """
    texts = len(first.gold)
    before, after = _right(first), _right(second)
    lost, gained = count_pairs(before, after)
    return {
        **_figures(first, second),
        "lost": lost,
        "gained": gained,
        "p_value": mcnemar(lost, gained),
        "smallest_difference": smallest_difference(lost + gained, texts),
        "differing": [
            {
                "text": int(row) + 1,
                "excerpt": first.excerpts[row],
                "true": _labels(first, first.gold[row]),
                "first": _labels(first, first.predicted[row]),
                "second": _labels(second, second.predicted[row]),
                "right": "first" if before[row] else "second",
            }
            for row in np.flatnonzero(before != after)
        ],
    }


def say(pair: dict[str, Any]) -> str:
    """What follows from a pair, in a sentence."""
    difference = pair["accuracy"]["difference"]
    if pair["p_holm"] >= SHOWN:
        return (
            "No difference shown: this corpus could have shown one of "
            f"{100 * pair['smallest_difference']:.1f} points of accuracy"
        )
    low, high = pair["accuracy"]["interval"]
    if difference < 0:
        low, high = -high, -low
    return (
        f"The {'second' if difference > 0 else 'first'} is better by {100 * abs(difference):.1f} "
        f"points of accuracy (95 %: {100 * low:.1f} to {100 * high:.1f})"
    )


def _figures(first: Predictions, second: Predictions) -> dict[str, Any]:
    texts = len(first.gold)
    columns = [answer_columns(first), answer_columns(second)]
    whole = [answer_figures(one.sum(axis=0), texts) for one in columns]
    drawn = [answer_figures(sums, texts) for sums in np.split(resample(np.hstack(columns)), 2, 1)]
    return {
        name: {
            "first": float(whole[0][name]),
            "second": float(whole[1][name]),
            "difference": float(whole[1][name] - whole[0][name]),
            "interval": interval(drawn[1][name] - drawn[0][name]),
        }
        for name in ("accuracy", "macro_f1")
    }


def _right(said: Predictions) -> np.ndarray:
    """Whether a text has exactly the right labels; bool (texts,)."""
    right: np.ndarray = (said.gold == said.predicted).all(axis=1)
    return right


def _labels(said: Predictions, row: np.ndarray) -> list[str]:
    return [said.labels[i] for i in np.flatnonzero(row)]
