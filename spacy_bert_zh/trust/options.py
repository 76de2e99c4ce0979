"""What a pipeline is calibrated for."""

from dataclasses import dataclass

from spacy_bert_zh.errors import BertZhError

FEWEST_TEXTS = 50
"""Fewer tell nothing about a temperature."""
F1, PRECISION, RECALL = AIMS = ("f1", "precision", "recall")


@dataclass(frozen=True)
class Aim:
    """What a threshold is for.

    Attributes:
        measure: One of `AIMS`.
        least: What precision or recall must reach; 0 with F1, which is to be as high as can be.
    """

    measure: str
    least: float = 0.0


def read_aim(text: str) -> Aim:
    """Read ``f1``, ``precision=0.95`` or ``recall=0.9``.

    Raises:
        BertZhError: It is none of them.
    """
    measure, _, number = text.partition("=")
    try:
        least = float(number) if number else 0.0
    except ValueError:
        least = -1.0
    if measure == F1 and not number:
        return Aim(F1)
    if measure in (PRECISION, RECALL) and 0 < least < 1:
        return Aim(measure, least)
    raise BertZhError(
        f"--aim {text}: take f1, precision=0.95 or recall=0.9, with a share in (0, 1)"
    )


@dataclass(frozen=True)
class Aims:
    """What a calibrated pipeline is asked for.

    Attributes:
        right: Let it answer only where it is sure enough that this share of its answers is
            right, such as 0.99, and abstain from the rest.
        coverage: Let it also give a set of labels that holds the right one this often, such as
            0.95; of labels that exclude each other.
        known: With `--train`: the share of texts like those of the training that shall count as
            such; the others are called unknown. Else 0.99.
        aim: Find a threshold for each of several labels: f1, precision=0.95 or recall=0.9.
    """

    right: float | None = None
    coverage: float | None = None
    known: float | None = None
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
