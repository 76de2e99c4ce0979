"""How unlike its training texts a text is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = 200
"""Steps in which the distances of known texts are remembered."""


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


def find_distances(distances: NDArray[Any]) -> list[float]:
    """What `Novelty` remembers of the distances of known texts: their quantiles, ascending."""
    return np.quantile(distances, np.linspace(0, 1, GRID + 1)).tolist()
