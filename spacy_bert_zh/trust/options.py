"""What a pipeline is calibrated for."""

from dataclasses import dataclass

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.trust.thresholds import read_aim


@dataclass(frozen=True)
class Aims:
    """What a calibrated pipeline is asked for.

    Attributes:
        right: Let it answer only where it is sure enough that this share of its answers is
            right, such as 0.99, and abstain from the rest.
        coverage: Let it also give a set of labels that holds the right one this often, such as
            0.95; of labels that exclude each other.
        known: With `--train`: the share of texts like those of the training that shall count as
            such; the others are called unknown.
        aim: Find a threshold for each of several labels: f1, precision=0.95 or recall=0.9.
    """

    right: float | None = None
    coverage: float | None = None
    known: float = 0.99
    aim: str | None = None

    def check(self, exclusive: bool) -> None:
        """Refuse what can't be meant.

        Args:
            exclusive: Whether labels exclude each other.

        Raises:
            BertZhError: A share is none, or an aim doesn't suit the labels.
        """
        for name in ("right", "coverage", "known"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise BertZhError(f"--{name} {share:g}: give a share between 0 and 1, such as 0.95")
        if self.coverage is not None and not exclusive:
            raise BertZhError("--coverage is for labels that exclude each other: leave it out")
        if self.aim is not None and exclusive:
            raise BertZhError(
                "--aim finds thresholds for labels that don't exclude each other: leave it out, "
                "the best one is given whatever its score"
            )
        if self.aim is not None:
            read_aim(self.aim)
