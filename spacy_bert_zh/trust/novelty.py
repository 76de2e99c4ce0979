"""How unlike its training texts a text is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.textcat import Novelty, rank

GRID = 200
"""Steps in which what is known of texts is remembered."""


@dataclass(frozen=True)
class Gaussians:
    """One normal distribution of vectors for each label, all of one covariance.

    Attributes:
        centres: Their means, whitened; shape (labels, width).
        whiten: Makes the common covariance that of a sphere; shape (width, width).
    """

    centres: NDArray[np.float32]
    whiten: NDArray[np.float32]


def fit_gaussians(vectors: NDArray[Any], gold: NDArray[Any]) -> Gaussians:
    """Fit them to vectors of training texts (Lee et al. 2018, arXiv 1807.03888, eq. 1).

    The covariance is drawn towards a sphere as far as the number of texts asks for (Ledoit and
    Wolf 2004).

    Args:
        vectors: Shape (texts, width).
        gold: 1 where a label holds; shape (texts, labels). A text of several labels counts for
            each, one of none for none; a label without texts has no distribution.
    """
    from sklearn.covariance import ledoit_wolf

    rows, labels = np.nonzero(gold)
    vectors = vectors.astype(np.float64)
    present = np.unique(labels)
    means = np.stack([vectors[rows[labels == label]].mean(0) for label in present])
    centred = vectors[rows] - means[np.searchsorted(present, labels)]
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    values, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(np.maximum(values, 1e-12 * values.max()))
    return Gaussians((means @ whiten).astype(np.float32), whiten.astype(np.float32))


def find_novelty(distances: NDArray[Any], doubts: NDArray[Any], known: float) -> Novelty:
    """What known texts look like.

    Args:
        distances: From the training texts; shape (texts,).
        doubts: How unsure the answers to them are, from 0 to 1; shape (texts,).
        known: The share of such texts that shall count as known.
    """
    far, unsure = _quantiles(distances), _quantiles(doubts)
    pairs = zip(distances.tolist(), doubts.tolist(), strict=True)
    sums = np.asarray([rank(far, distance) + rank(unsure, doubt) for distance, doubt in pairs])
    return Novelty(known=known, distances=far, doubts=unsure, sums=_quantiles(sums))


def _quantiles(values: NDArray[Any]) -> list[float]:
    return np.quantile(values, np.linspace(0, 1, GRID + 1)).tolist()
