"""The options of `search`, checked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError

Say = Callable[[str], None]
"""Is told what goes on, in one line."""


@dataclass(frozen=True)
class Options:
    """How to search.

    Args:
        minutes: About how long the trials may take, on this machine; 0 doesn't limit.
        trials: So many at most, the config as it is among them; 0 doesn't limit.
        space: JSON of what may change: {"training.dropout": {"low": 0, "high": 0.3}, …}.
        processes: Trainings at once.
        test: Texts for the report, which choose nothing.
        seeds: Trainings in full length in the end, of what was found and of the config.
        seed: Of the proposals.
        gpu_id: GPU id, or -1 for the CPU; with --ray any but -1 is one of the cluster's for each.
        ray: Let Ray run the trainings; see docs/search.md.
        code: Python file that registers functions which the config names.
    """

    minutes: float = 60.0
    trials: int = 0
    space: Path | None = None
    processes: int = 1
    test: Path | None = None
    seeds: int = 3
    seed: int = 0
    gpu_id: int = -1
    ray: bool = False
    code: Path | None = None

    def __post_init__(self) -> None:
        for name in ("minutes", "trials", "seed"):
            if getattr(self, name) < 0:
                raise BertZhError(f"--{name} is {getattr(self, name)}: it must be 0 or more")
        for name in ("processes", "seeds"):
            if getattr(self, name) < 1:
                raise BertZhError(f"--{name} is {getattr(self, name)}: it must be 1 or more")
        if not self.minutes and not self.trials:
            raise BertZhError("Without --minutes and --trials a search never ends: give one")
