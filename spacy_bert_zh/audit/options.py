"""The options of `audit`, checked."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError


@dataclass(frozen=True)
class Options:
    """How to look through a corpus.

    Args:
        dev: Texts that a model will be judged by: near-duplicates of them are leaks.
        fixes: What a person has decided, as `convert` takes it: these rows aren't shown again.
        model: What `crossval` made of this corpus: its scores, in place of those by n-grams.
        vectors: Score rows by the vectors of the BERT that ships, too: finds more, takes longer.
        folds: Parts of the corpus; each is scored by a model that learnt from the others.
        seed: Seed of the folds.
    """

    dev: Path | None = None
    fixes: Path | None = None
    model: Path | None = None
    vectors: bool = False
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise BertZhError(f"--folds is {self.folds}: it must be 2 or more")
        if self.model and self.vectors:
            raise BertZhError(
                "--vectors goes with n-grams: leave it out, or --model, which has scores of its own"
            )
        if self.seed < 0:
            raise BertZhError(f"--seed is {self.seed}: it must be 0 or more")
