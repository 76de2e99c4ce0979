"""Labels that were never learnt, told by the mean of their texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

SPARED = 0.01
"""Share of the texts of learnt labels that a new label may take away."""
_ENOUGH = 20_000


@dataclass(frozen=True)
class Claims:
    """How near to a new label's texts a text must be.

    A text belongs to the label whose texts' mean is nearest, by squared distances of whitened
    vectors (linear discriminant analysis, Fisher 1936): to a new one if it is nearer by more than
    all but `SPARED` of the texts of learnt labels are.

    Attributes:
        names: All labels.
        means: Of their texts' vectors; shape (labels, width).
        limits: Of each new label, by how much nearer it must be than any other.
        units: Of each new label, by how much nearer makes it surer.
    """

    names: list[str]
    means: Vectors
    limits: dict[str, float]
    units: dict[str, float]

    def of(self, rows: Vectors, labels: Sequence[str]) -> Vectors:
        """How sure new labels are: 0 to 1, and 0.5 at the limit; shape (texts, labels)."""
        found = np.zeros((len(rows), len(labels)), dtype=np.float32)
        gains = _gains(rows, self.means)
        for name, limit in self.limits.items():
            sure = (gains[:, self.names.index(name)] - limit) / self.units[name]
            found[:, labels.index(name)] = 1.0 / (1.0 + np.exp(-np.clip(sure, -30, 30)))
        return found


def find_claims(
    rows: Vectors, gold: Vectors, names: Sequence[str], learnt: Sequence[str]
) -> Claims | None:
    """Find the limits of labels that aren't among the learnt ones.

    Args:
        rows: Whitened vectors; shape (texts, width).
        gold: 1 where a text has a label; shape (texts, labels).
        names: The labels.
        learnt: Those that the classifier was trained on.

    Returns:
        None where no text of a learnt label is there to compare with.
    """
    means = gold.T @ rows / np.maximum(gold.sum(axis=0)[:, None], 1.0)
    new = [name for name in names if name not in learnt]
    known = ~gold[:, [names.index(name) for name in new]].any(axis=1)
    if not known.any() or len(names) < 2:
        return None
    gains = _gains(rows[known][:_ENOUGH], means)
    columns = {name: gains[:, names.index(name)] for name in new}
    limits = {name: float(np.quantile(gain, 1.0 - SPARED)) for name, gain in columns.items()}
    units = {name: float(max(gain.std() / 4, 1e-6)) for name, gain in columns.items()}
    return Claims(list(names), means, limits, units)


def _gains(rows: Vectors, means: Vectors) -> Vectors:
    """How much nearer each mean is than the nearest of the others; shape (texts, means)."""
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ means.T + (means**2).sum(axis=1)
    best = np.sort(squares, axis=1)[:, :2]
    others = np.where(squares == best[:, :1], best[:, 1:], best[:, :1])
    return cast(Vectors, others - squares)
