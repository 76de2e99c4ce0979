"""A power law through measured errors, and what it says of more rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEEPEST = 1.0
"""The largest exponent: what is measured lies between 0.05 and 0.5 (Hestness et al. 2017)."""
FLATTEST = 0.02
SMALLEST = 1e-4
"""An error of 0 counts as this one."""
PARAMETERS = 3
LEVEL = 0.95


@dataclass(frozen=True)
class Law:
    """The error after so many rows: ``floor + scale * (rows / unit) ** -exponent``.

    Attributes:
        floor: What no number of rows takes away.
        scale: The rest of the error at `unit` rows.
        exponent: How fast that falls.
        unit: Rows.
    """

    floor: float
    scale: float
    exponent: float
    unit: float

    def at(self, rows: Floats) -> Floats:
        """The error after so many rows; float, as many."""
        return self.floor + self.scale * (rows / self.unit) ** -self.exponent


def fit_law(rows: Floats, errors: Floats) -> Law:
    """Fit an inverse power law to errors (Hestness et al. 2017, arXiv 1712.00409, section 3).

    Relative errors count, as they do on a logarithmic scale. For a given exponent the rest is
    linear, and never negative: non-negative least squares; the exponent is sought between
    `FLATTEST` and `STEEPEST`.

    Args:
        rows: Learnt from; float (points,).
        errors: Measured, from 0 to 1; float (points,).

    Examples:
        >>> rows = np.array([100.0, 200.0, 400.0, 800.0])
        >>> law = fit_law(rows, 0.1 + 2 * rows**-0.5)
        >>> round(law.floor, 3), round(law.exponent, 2)
        (0.1, 0.5)
    """
    from scipy.optimize import minimize_scalar, nnls

    unit = float(rows.max())
    weights = 1 / np.maximum(errors, SMALLEST)

    def fit(exponent: float) -> tuple[Floats, float]:
        columns = np.column_stack([np.ones_like(rows), (rows / unit) ** -exponent])
        return nnls(columns * weights[:, None], errors * weights)

    bounds = (np.log(FLATTEST), np.log(STEEPEST))
    best = minimize_scalar(lambda log: fit(np.exp(log))[1], bounds=bounds, method="bounded").x
    (floor, scale), _ = fit(float(np.exp(best)))
    return Law(float(floor), float(scale), float(np.exp(best)), unit)


@dataclass(frozen=True)
class Forecast:
    """What a law says of so many rows.

    Attributes:
        law: The one that fits the measured errors.
        rows: Float (points,).
        errors: Its errors there; float (points,).
        low: Lower ends of the interval of 95 %, which holds the error; float (points,).
        high: Upper ends; float (points,).
    """

    law: Law
    rows: Floats
    errors: Floats
    low: Floats
    high: Floats


def forecast(
    learnt: Floats, errors: Floats, drawn: Floats, rows: Floats, seed: int = 0
) -> Forecast:
    """Fit a law, and say what it makes of other numbers of rows, and how sure that is.

    The interval is a bootstrap of both: of the texts that all trainings were measured on, and of
    the trainings' distances from the law (Efron & Tibshirani 1993, chapter 9.4), in logarithms and
    widened for the law's three numbers. Another such distance is added to what comes out, as
    another training has one.

    Args:
        learnt: Rows that each training learnt from; float (trainings,).
        errors: Of each training, from 0 to 1; float (trainings,).
        drawn: Their errors on texts drawn anew; float (resamplings, trainings).
        rows: What to forecast for; float (points,).
        seed: Of the drawing of distances.
    """
    law, random = fit_law(learnt, errors), np.random.default_rng(seed)
    fitted = law.at(learnt)
    distances = _log(errors) - _log(fitted)
    distances *= np.sqrt(len(learnt) / (len(learnt) - PARAMETERS))
    made = np.empty((len(drawn), len(rows)))
    for row, moved in enumerate(_log(drawn) - _log(errors) + _log(fitted)):
        noisy = np.exp(moved + random.choice(distances, len(learnt)))
        made[row] = fit_law(learnt, noisy).at(rows) * np.exp(random.choice(distances))
    tail = (1 - LEVEL) / 2
    low, high = np.clip(np.quantile(made, [tail, 1 - tail], axis=0), 0.0, 1.0)
    errors = law.at(rows)
    return Forecast(law, rows, errors, np.minimum(low, errors), np.maximum(high, errors))


def _log(errors: Floats) -> Floats:
    """Logarithms of errors; none at all counts as a very small one."""
    return np.log(np.maximum(errors, SMALLEST))
