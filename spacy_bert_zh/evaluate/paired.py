"""Two classifiers on the same texts: is one better, and could this corpus have shown it?

Only the texts that one has right and the other wrong tell anything: those `lost` from the first to
the second, and those `gained`.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POWER = 0.8
LEVEL = 0.05


def mcnemar(lost: int, gained: int) -> float:
    """The exact two-sided p-value of McNemar's test: a binomial test of lost against gained.

    McNemar 1947, *Note on the sampling error of the difference between correlated proportions*;
    the exact form as in Mosteller 1952.

    Examples:
        >>> mcnemar(1, 9)
        0.021484375
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that may each be read at the same level though there are several.

    Holm 1979, *A simple sequentially rejective multiple test procedure*.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    values = np.array(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in adjusted]


def smallest_difference(differing: int, texts: int) -> float:
    """The smallest difference of two accuracies that a corpus shows four times out of five.

    McNemar's test, two-sided at 5 %, has the power 80 % from the difference d that solves

        n d² = (z_a √ψ + z_b √(ψ - d²))²

    with n texts, the share ψ that exactly one has right, z_a = 1.96 and z_b = 0.84 (Connor 1987,
    *Sample size for testing differences in proportions for the paired-sample design*, equation 3;
    Miettinen 1968). Where that asks for d > ψ, more texts would have to differ than do: then it
    is the d with ψ = d, all of them in favour of one.

    Args:
        differing: Texts that exactly one of both has right.
        texts: How many there are.

    Returns:
        A share of the texts; 1 at most.
    """
    from scipy.stats import norm

    a, b = float(norm.isf(LEVEL / 2)), float(norm.isf(1 - POWER))
    share = differing / texts
    rest = texts + b * b - a * a
    if share and rest > 0:
        found = sqrt(share) * (sqrt(texts) * a + b * sqrt(rest)) / (texts + b * b)
        if found <= share:
            return found
    # n d = (a + b √(1 - d))², by its square's upper bound first.
    found = min((a + b) ** 2 / texts, 1.0)
    for _ in range(50):
        found = min((a + b * sqrt(1 - found)) ** 2 / texts, 1.0)
    return found


def most_lost(lost: int, gained: int, texts: int) -> float:
    """How much accuracy is lost at most, with 95 % confidence: a one-sided upper bound.

    The score interval of Tango 1998, *Equivalence test and confidence interval for the difference
    in proportions for the paired-sample design*, equations 5 to 8; it also holds where hardly a
    text differs.

    Args:
        lost: Texts that only the first one has right.
        gained: Texts that only the second one has right.
        texts: How many there are.

    Returns:
        A difference of accuracies, from -1 to 1.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.isf(LEVEL))

    def excess(bound: float) -> float:
        """How far the loss lies below a bound, in deviations under it, beyond those asked for."""
        deviation = _deviation(lost / texts, gained / texts, bound)
        return bound - (lost - gained) / texts - z * deviation / sqrt(texts)

    low, high = (lost - gained) / texts + 1e-9, 1 - 1e-12  # at the ends the deviation may be 0
    if low >= high or excess(high) <= 0:
        return 1.0
    return float(brentq(excess, low, high)) if excess(low) < 0 else low


def _deviation(lost: float, gained: float, bound: float) -> float:
    """The deviation of a text's loss if the true loss were `bound`; shares of the texts."""
    b = -lost - gained + (2 - lost + gained) * bound
    c = -gained * bound * (1 - bound)
    likeliest = (sqrt(max(b * b - 8 * c, 0.0)) - b) / 4
    return sqrt(max(2 * likeliest + bound * (1 - bound), 0.0))


def texts_needed(differing: int, texts: int, margin: float) -> int:
    """Texts on which `most_lost` stays below a margin four times out of five, if nothing is lost.

    n = (z_a s_0 + z_b √ψ)² / margin², with z_a = 1.645, z_b = 0.84, the share ψ of texts that
    exactly one has right, and the deviation s_0 of a text's loss were it the margin (as for any
    test of a mean; the deviation is that of Tango's equation 7).
    """
    from scipy.stats import norm

    a, b = float(norm.isf(LEVEL)), float(norm.isf(1 - POWER))
    share = differing / texts
    under = _deviation(share / 2, share / 2, margin)
    return int(np.ceil((a * under + b * sqrt(share)) ** 2 / margin**2))


def mean_gain(first: Floats, second: Floats, variance: float) -> tuple[float, list[float]]:
    """How much better a second config's trainings are, and a 95 % interval over texts and seeds.

    Another seed would have brought another pipeline, other texts other figures. Both variances add
    up: that which texts alone would bring, and those of the trainings. The quantile is Student's,
    with the degrees of freedom of Welch and Satterthwaite (Welch 1947, *The generalization of
    Student's problem when several different population variances are involved*). With one
    training of each, the interval is over the texts alone.

    Args:
        first: A figure of each training, measured on all texts; float (seeds,).
        second: Of the other config's trainings, on the same texts.
        variance: Of the difference of both means, over texts: such as a bootstrap's.

    Returns:
        The difference of the means, and the interval's lower and upper end.
    """
    from scipy.stats import norm, t

    gain, noise = float(second.mean() - first.mean()), 0.0
    for runs in (first, second):
        if len(runs) > 1:
            part = float(runs.var(ddof=1)) / len(runs)
            variance += part
            noise += part**2 / (len(runs) - 1)
    quantile = t.isf(LEVEL / 2, variance**2 / noise) if noise else norm.isf(LEVEL / 2)
    half = float(quantile) * sqrt(variance)
    return gain, [gain - half, gain + half]


def count_pairs(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    """Texts `lost` and `gained` from the first to the second, by whether each is right."""
    return int((first & ~second).sum()), int((~first & second).sum())
