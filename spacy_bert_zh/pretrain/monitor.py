"""What one sees of a running pretraining: a progress bar, metrics.jsonl, a picture."""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from spacy_bert_zh.files import whole

METRICS = "metrics.jsonl"


class Monitor:
    """Writes one line of metrics at a time, and shows it.

    Args:
        path: The file of the metrics; lines after `start` are of a run that was cut off.
        start: The step that the run starts from.
        steps: The steps of the whole run.
        show: Whether this process is the one to show and write.
    """

    def __init__(self, path: Path, start: int, steps: int, show: bool) -> None:
        self._path = path
        self._show = show
        self._bar = tqdm(initial=start, total=steps, unit="step", disable=None if show else True)
        if show:
            kept = [line for line in read_metrics(path) if line["step"] <= start]
            with whole(path) as part:
                part.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")

    def step(self) -> None:
        """Count a step."""
        self._bar.update()

    def log(self, line: dict[str, Any]) -> None:
        """Write a line of metrics down and show it."""
        if not self._show:
            return
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = {key: line[key] for key in ("loss", "accuracy", "tokens_per_second") if key in line}
        self._bar.set_postfix({key: f"{value:,.4g}" for key, value in shown.items()})
        if self._bar.disable:
            print(json.dumps(line), flush=True)

    def close(self) -> None:
        """End the progress bar."""
        self._bar.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a last line that was cut off in writing is left out."""
    lines = path.read_text("utf-8").split("\n") if path.exists() else []
    return [json.loads(line) for line in lines[:-1]]


def perplexity(loss: float) -> float:
    """e to the cross-entropy in nats."""
    return math.exp(min(loss, 100.0))


def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """The matrix products this process gets out of its device, in FLOP/s.

    Multiplies large matrices a few times: what the share of the peak (model FLOPs
    utilisation, Chowdhery et al. 2022, appendix B) is the share of.
    """
    size = 1024 if device.type == "cpu" else 8192
    left = torch.randn(size, size, device=device, dtype=dtype)
    right = torch.randn(size, size, device=device, dtype=dtype)
    best = 0.0
    for turn in range(6):
        start = time.perf_counter()
        for _ in range(4):
            torch.matmul(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if turn:  # the first one loads libraries
            best = max(best, 4 * 2 * size**3 / (time.perf_counter() - start))
    return best


def draw_loss(lines: list[dict[str, Any]]) -> str:
    """The loss over the pieces read, in training and held out, as an SVG of its own."""
    from spacy_bert_zh.plots import curves, to_svg

    train = [(line["tokens"], line["loss"]) for line in lines if "loss" in line]
    held_out = [
        (line["tokens"], line["held_out_loss"]) for line in lines if "held_out_loss" in line
    ]
    series = {"training": train, "held out": held_out}
    figure = curves(series, "word pieces read", "cross-entropy of masked pieces (nats)")
    return to_svg(figure)
