"""Whether a smaller form of a pipeline still says what the pipeline said."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import find_textcat
from spacy_bert_zh.predictions import Predictions, predict

MOST_LOSS = 0.005
"""Accuracy that may be lost."""
LEAST_AGREEMENT = 0.99
"""Share of texts (or of labels of texts, if they don't exclude each other) that say the same."""


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

    def as_dict(self) -> dict[str, Any]:
        """For meta.json and the model card."""
        return asdict(self)


def compare(before: Language, after: Language, component: str, dev: Path) -> Comparison:
    """Let both forms of a pipeline classify a corpus.

    Args:
        before: The pipeline.
        after: Its smaller form.
        component: Name of the text classifier in both.
        dev: A ``.spacy`` file, or a folder of them.

    Raises:
        BertZhError: The corpus doesn't fit.
    """
    one, two = (predict(nlp, find_textcat(nlp, component), dev) for nlp in (before, after))
    same = one.predicted == two.predicted
    agreement = same.all(axis=1).mean() if one.exclusive else same[one.known].mean()
    return Comparison(
        len(one.excerpts),
        _accuracy(one),
        _accuracy(two),
        float(agreement),
        float(abs(one.scores - two.scores).max()),
    )


def check(comparison: Comparison) -> None:
    """Refuse a form that is worse.

    Raises:
        BertZhError: Too much accuracy is lost, or too many answers differ.
    """
    lost = comparison.accuracy_before - comparison.accuracy
    if lost > MOST_LOSS or comparison.agreement < LEAST_AGREEMENT:
        raise BertZhError(
            f"Not exported: {comparison}; allowed are a loss of {MOST_LOSS:.3f} and an agreement "
            f"of {LEAST_AGREEMENT:.0%} at least. Take a higher --precision, or --force"
        )


def _accuracy(predictions: Predictions) -> float:
    return float(np.mean((predictions.predicted == predictions.gold).all(axis=1)))
