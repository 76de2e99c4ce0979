"""How far a share of texts would swing on other texts of the same kind."""

from typing import Any

LEVEL = 0.95


def share_of(hits: int, texts: int) -> dict[str, Any]:
    """A share and its interval of 95 % (Wilson 1927), which fits shares near 0 and 1, too.

    Examples:
        >>> share_of(8, 10)
        {'value': 0.8, 'low': 0.4902, 'high': 0.9433}
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, texts).proportion_ci(LEVEL, method="wilson")
    values = {"value": hits / texts, "low": interval.low, "high": interval.high}
    return {name: round(float(value), 4) for name, value in values.items()}
