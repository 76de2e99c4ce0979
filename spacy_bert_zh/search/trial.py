"""Trials of a search, and the table of them, which grows line by line."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from spacy_bert_zh.errors import BertZhError

TABLE, TRIALS, RUNS = "trials.jsonl", "trials", "runs"
FOUND, GIVEN = "found", "given"
"""What trainings in full length are called: by the best settings, by the config's own."""
CONFIG, SHORT, CANDIDATE = "config.cfg", "trials.cfg", "found.cfg"
"""What is searched for, what the trials are trained by, and the config of the best of these."""
ROW = 3
"""Evaluations in a row that say together how good a trial is."""


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        settings: What was tried, by dotted name.
        scores: On the dev texts, one for each evaluation.
        finished: Whether it came to its end: it may have been stopped as one of the worse.
        steps: That it took.
        seconds: That it took on this machine.
        error: What it failed with; empty if it didn't.
    """

    settings: dict[str, Any]
    scores: list[float] = field(default_factory=list)
    finished: bool = False
    steps: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def score(self) -> float:
        """What it reached on the dev texts."""
        return reached(self.scores)


def reached(scores: Sequence[float]) -> float:
    """The best mean of evaluations in a row, of all of them where they are fewer.

    A single one may be the best by chance, and the more so the more they swing: among many trials
    the highest score would choose those that swing most.
    """
    if not scores:
        return 0.0
    count = min(ROW, len(scores))
    return max(fmean(scores[end - count : end]) for end in range(count, len(scores) + 1))


def is_worse(scores: Sequence[float], done: Sequence[Trial], keep: float = 0.5) -> bool:
    """Whether a trial should be stopped at its last evaluation, to save the time.

    Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934, algorithm 2): at its first,
    second, fourth, eighth … evaluation a trial goes on if it belongs to the better ones of all
    that came so far. A search asks about trials that are a fixed number before it alone, so that
    the answer doesn't depend on which of several trainings is faster.

    Args:
        scores: Of a trial, that of step 0 first.
        done: Those before it.
        keep: Share that goes on.
    """
    place = len(scores) - 1
    if place < 1 or place & (place - 1):
        return False
    others = [reached(trial.scores[: place + 1]) for trial in done if len(trial.scores) > place]
    better = sum(score > reached(scores) for score in others)
    return len(others) > 1 and better >= keep * (len(others) + 1)


def read_table(folder: Path) -> list[Trial]:
    """The trials that are over; a line that a kill cut off isn't one."""
    path = folder / TABLE
    if not path.exists():
        return []
    lines = path.read_text("utf-8").split("\n")[:-1]
    try:
        return [Trial(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise BertZhError(f"{path} is no table of trials: remove {folder}") from error


def write_table(folder: Path, trials: Sequence[Trial]) -> None:
    """Write the table anew and on disk before anything else happens."""
    part = folder / f"{TABLE}.part"
    with part.open("w", encoding="utf-8") as file:
        for trial in trials:
            file.write(json.dumps(asdict(trial), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / TABLE)
