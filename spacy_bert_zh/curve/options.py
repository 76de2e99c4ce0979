"""The options of `curve`, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError

SHARES = 0.1, 0.2, 0.4, 0.7, 1.0
LEAST = 4
"""Shares: a power law has three numbers, and what it misses by must show."""


@dataclass(frozen=True)
class Options:
    """How to draw the curve.

    Args:
        dev: Texts that the pipelines are measured by; no step of theirs is chosen by it.
        shares: Of the training rows, four or more from 0 to 1; else 0.1,0.2,0.4,0.7,1.0.
        seeds: Trainings for each share, on other rows each.
        minutes: About how long all trainings may take, on this machine; 0 doesn't limit.
        gpu_id: GPU id, or -1 for the CPU.
        code: Python file that registers functions which the config names.
    """

    dev: Path
    shares: tuple[float, ...] = SHARES
    seeds: int = 1
    minutes: float = 0.0
    gpu_id: int = -1
    code: Path | None = None

    def __post_init__(self) -> None:
        for share in self.shares:
            if not 0 < share <= 1:
                raise BertZhError(f"--shares: {share:g} is no share from 0 to 1")
        if len(self.shares) < LEAST or len(set(self.shares)) < len(self.shares):
            given = ",".join(map(str, self.shares))
            raise BertZhError(f"--shares {given}: give {LEAST} or more, each once")
        if self.seeds < 1:
            raise BertZhError(f"--seeds is {self.seeds}: it must be 1 or more")
        if self.minutes < 0:
            raise BertZhError(f"--minutes is {self.minutes}: it must be 0 or more")


def parse_options(*, shares: str = "", **others: Any) -> Options:
    """Build options from a command line, where shares are a text between commas.

    Raises:
        BertZhError: An option has no meaning.

    Examples:
        >>> parse_options(dev=Path("corpus/dev"), shares="0.1,0.2,0.5,1").shares
        (0.1, 0.2, 0.5, 1.0)
    """
    try:
        given = tuple(float(share) for share in shares.split(",")) if shares else SHARES
    except ValueError:
        raise BertZhError(f"--shares {shares}: give numbers between commas") from None
    return Options(shares=given, **others)
