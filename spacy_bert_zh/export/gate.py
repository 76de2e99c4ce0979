"""Whether a smaller form of a pipeline still says what the pipeline said."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import Predictions, count_pairs, most_lost, texts_needed

MOST_LOSS = 0.005
"""Accuracy that may be lost: the margin of a test of non-inferiority."""
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
        lost: Texts that only the pipeline has right.
        gained: Texts that only the smaller form has right.
    """

    texts: int
    accuracy_before: float
    accuracy: float
    agreement: float
    largest_difference: float
    lost: int
    gained: int

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.4f} (before {self.accuracy_before:.4f}), same answer for "
            f"{self.agreement:.2%}, scores differ by {self.largest_difference:.2g} at most, "
            f"{self.texts:,} texts: {self._verdict}"
        )

    @property
    def passes(self) -> bool:
        """Whether the smaller form is good enough.

        It is shown with 95 % confidence to lose no more than `MOST_LOSS`. On texts that are too few
        to show that of a form that loses nothing, it is enough not to lose more on these.
        """
        if self.agreement < LEAST_AGREEMENT:
            return False
        return self._bound <= MOST_LOSS or (self._few and self._loss <= MOST_LOSS)

    @property
    def _loss(self) -> float:
        return (self.lost - self.gained) / self.texts

    @property
    def _bound(self) -> float:
        return most_lost(self.lost, self.gained, self.texts)

    @property
    def _needed(self) -> int:
        return texts_needed(self.lost + self.gained, self.texts, MOST_LOSS)

    @property
    def _few(self) -> bool:
        return self.texts < self._needed

    @property
    def _verdict(self) -> str:
        """Which rule decided."""
        if self._bound <= MOST_LOSS:
            return f"{max(self._bound, 0):.4f} of accuracy is lost at most (95 %)"
        if self._few:
            return (
                f"too few to tell a loss of {MOST_LOSS:g} from luck (that takes about "
                f"{self._needed:,}), so the loss on these alone decides"
            )
        return f"up to {self._bound:.4f} of accuracy may be lost (95 %)"


def compare(before: Predictions, after: Predictions) -> Comparison:
    """What two forms of a pipeline say about the same corpus.

    Args:
        before: What the pipeline says.
        after: What its smaller form says.
    """
    right = [(one.predicted == before.gold).all(axis=1) for one in (before, after)]
    return Comparison(
        len(before.excerpts),
        _same(before.predicted, before.gold),
        _same(after.predicted, after.gold),
        _same(before.predicted, after.predicted),
        float(abs(before.scores - after.scores).max()),
        *count_pairs(*right),
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
