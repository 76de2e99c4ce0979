"""How a training went: a line for each evaluation, as JSON and as a picture."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spacy_bert_zh.files import made

METRICS = "metrics.jsonl"
PICTURE = "history.svg"


def make_line(
    info: Mapping[str, Any], classifiers: dict[str, Any], since: int, is_best: bool
) -> dict[str, Any]:
    """What is written of an evaluation: nothing that differs when the run is repeated.

    Args:
        info: spaCy's account of the step.
        classifiers: How good each trained text classifier is; see `learnt.check_record`.
        since: The step of the evaluation before; -1 if there was none.
        is_best: Whether the pipeline of this step is the best one so far.
    """
    steps = info["step"] - since
    numbers = {k: v for k, v in info["other_scores"].items() if isinstance(v, int | float)}
    numbers.pop("speed", None)  # of this machine, this time
    return {
        "step": info["step"],
        "epoch": info["epoch"],
        "score": _rounded(info["score"]),
        "best": is_best,
        "loss": {name: _rounded(loss / steps) for name, loss in info["losses"].items()},
        "scores": {name: _rounded(value) for name, value in numbers.items()},
        "classifiers": classifiers,
    }


def _rounded(value: float) -> float | None:
    """A number that is the same in a pipeline's meta.json, which has ten digits; null for NaN."""
    return round(float(value), 6) if math.isfinite(value) else None


def write_history(lines: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write ``metrics.jsonl`` anew; it is short, and so never half of it is there."""
    with made(folder / METRICS, "train") as path:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        path.write_text(text, "utf-8")


def read_history(folder: Path, record: Any) -> list[dict[str, Any]]:
    """The history beside a pipeline, if it is that of the training it came from.

    Args:
        folder: Where the pipeline lies.
        record: The pipeline's own line, from its meta.json.

    Returns:
        The lines; none if there is no file, or it is another training's.
    """
    path = folder / METRICS
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    if not all(map(_is_line, [*lines, record])):
        return []
    return lines if _key(record) in map(_key, lines) else []


def _is_line(line: Any) -> bool:
    """Whether this is one of `make_line`, as far as a picture needs it."""
    if not isinstance(line, dict) or not isinstance(line.get("loss"), dict):
        return False
    numbers = [line.get("step"), line.get("score")]
    losses = [loss for loss in line["loss"].values() if loss is not None]
    return all(isinstance(value, int | float) for value in [*numbers, *losses])


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a line from those of other trainings; spaCy's reader of meta.json isn't exact."""
    losses = {name: loss and _rounded(loss) for name, loss in line["loss"].items()}
    return line["step"], _rounded(line["score"]), losses


def draw_history(lines: Sequence[dict[str, Any]]) -> str:
    """Draw loss and dev score over the steps, as an SVG.

    Raises:
        BertZhError: matplotlib is not installed.
    """
    from spacy_bert_zh.plots import panels, to_svg

    names = list(lines[-1]["loss"]) if lines else []
    several = len(names) > 1
    series = {
        f"loss of a batch{f', {name}' if several else ''}": [
            (line["step"], line["loss"][name])
            for line in lines
            if line["loss"].get(name) is not None
        ]
        for name in names
    }
    series["score on dev"] = [(line["step"], line["score"]) for line in lines]
    best = [line["step"] for line in lines if line.get("best")]
    return to_svg(panels(series, "step", best[-1] if best else None))
