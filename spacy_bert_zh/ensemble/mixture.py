"""What becomes of the logits of several classifiers, and the one classifier that has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.loading import Parts
from spacy_bert_zh.textcat import aligned

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """A linear map from the logits of several runs to those of one classifier.

    Attributes:
        matrices: What each label takes from each logit of each run; (runs, labels, labels).
        bias: What is added; (labels,).
    """

    matrices: Floats
    bias: Floats

    @property
    def shares(self) -> list[float]:
        """How much of its own logit a label takes from each run, on average; their sum is 1."""
        traces = np.trace(self.matrices, axis1=1, axis2=2)
        return [float(one) for one in traces / traces.sum()]

    def __call__(self, logits: Floats) -> Floats:
        """Mix logits of shape (runs, texts, labels) to (texts, labels)."""
        mixed: Floats = np.einsum("rij,rtj->ti", self.matrices, logits) + self.bias
        return mixed

    def ordered(self, given: Sequence[str], wanted: Sequence[str]) -> "Mixture":
        """The same for labels in another order."""
        places = [list(given).index(label) for label in wanted]
        return Mixture(self.matrices[:, places][:, :, places], self.bias[places])


def evenly(shares: Floats, labels: int) -> Mixture:
    """Every label takes the same share of its own logits; `shares` are of shape (runs,)."""
    return Mixture(shares[:, None, None] * np.eye(labels), np.zeros(labels))


def mix(parts: Sequence[Parts], mixture: Mixture) -> Parts:
    """Parts whose logits are a mixture of those of others."""

    def total(arrays: Sequence[NDArray[Any]]) -> Floats:
        pairs = zip(arrays, mixture.matrices, strict=True)
        return np.sum([array @ matrix.T for array, matrix in pairs], axis=0)

    pairs = zip(mixture.matrices, parts, strict=True)
    weights = [matrix @ one.weights for matrix, one in pairs]
    tables = aligned([one.ngrams for one in parts if one.ngrams is not None])
    ngrams = None
    if tables:
        summed = total([table.weights for table in tables]).astype(np.float32)
        ngrams = tables[0]._replace(weights=summed)
    return Parts(
        networks=tuple(network for one in parts for network in one.networks),
        labels=parts[0].labels,
        weights=np.concatenate(weights, axis=1).astype(np.float32),
        bias=(total([one.bias for one in parts]) + mixture.bias).astype(np.float32),
        exclusive_classes=parts[0].exclusive_classes,
        ngrams=ngrams,
    )
