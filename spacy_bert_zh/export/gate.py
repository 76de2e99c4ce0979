"""Whether a smaller form of a pipeline still says what the pipeline said."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import Predictions

MOST_LOSS = 0.005
"""Accuracy that may be lost."""
LEAST_AGREEMENT = 0.99
"""Share of texts that get the same labels. Pairs of text and label won't do: of 65 labels with one
or two a text, a model that gives none agrees for 98 % of them."""


@dataclass(frozen=True)
class Comparison:
    """Two forms of a pipeline on the same corpus.

    Attributes:
        texts: How many there are.
        accuracy_before: Share of texts with exactly the right labels.
        accuracy: The same of the smaller form.
        agreement: See `LEAST_AGREEMENT`.
        largest_difference: Between two scores.
    """

    texts: int
    accuracy_before: float
    accuracy: float
    agreement: float
    largest_difference: float

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.4f} (before {self.accuracy_before:.4f}), same answer for "
            f"{self.agreement:.2%}, scores differ by {self.largest_difference:.2g} at most, "
            f"{self.texts:,} texts"
        )

    @property
    def passes(self) -> bool:
        """Whether the smaller form is good enough."""
        lost = self.accuracy_before - self.accuracy
        return lost <= MOST_LOSS and self.agreement >= LEAST_AGREEMENT


def compare(before: Predictions, after: Predictions) -> Comparison:
    """What two forms of a pipeline say about the same corpus.

    Args:
        before: What the pipeline says.
        after: What its smaller form says.
    """
    return Comparison(
        len(before.excerpts),
        _same(before.predicted, before.gold),
        _same(after.predicted, after.gold),
        _same(before.predicted, after.predicted),
        float(abs(before.scores - after.scores).max()),
    )


def check(comparison: Comparison) -> None:
    """Refuse a form that is worse.

    Raises:
        BertZhError: Too much accuracy is lost, or too many answers differ.
    """
    if not comparison.passes:
        raise BertZhError(
            f"Not exported: {comparison}; allowed are a loss of {MOST_LOSS:.3f} and an agreement "
            f"of {LEAST_AGREEMENT:.0%} at least. Take a higher --precision, or --force"
        )


def _same(labels: NDArray[Any], others: NDArray[Any]) -> float:
    """Share of texts with exactly the same labels, both of shape (texts, labels)."""
    return float(np.mean((labels == others).all(axis=1)))
