"""The options of `crossval`, checked."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError


@dataclass(frozen=True)
class Options:
    """How to cross-validate.

    Args:
        folds: Parts of the corpus; each is judged by a pipeline that learnt from the others.
        dev_share: Share of a fold's training rows that chooses its best step.
        minutes: About how long all trainings may take, on this machine; 0 doesn't limit.
        seed: Of the folds; that of the trainings is the config's.
        gpu_id: GPU id, or -1 for the CPU.
        code: Python file that registers functions which the config names.
    """

    folds: int = 5
    dev_share: float = 0.1
    minutes: float = 0.0
    seed: int = 0
    gpu_id: int = -1
    code: Path | None = None

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise BertZhError(f"--folds is {self.folds}: it must be 2 or more")
        if not 0 < self.dev_share < 1:
            raise BertZhError(f"--dev-share is {self.dev_share}: it must be between 0 and 1")
        for name in ("minutes", "seed"):
            if getattr(self, name) < 0:
                raise BertZhError(f"--{name} is {getattr(self, name)}: it must be 0 or more")
