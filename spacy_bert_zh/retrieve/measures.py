"""How well what was searched for is found."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTH = 100
"""Places that are looked at."""
MEASURES = ("recall@1", "recall@5", "recall@10", "mrr", "ndcg@10")


def first_places(similarities: NDArray[Any], own: NDArray[Any]) -> NDArray[np.int64]:
    """Where its own text stands for each query: 1 for the nearest; int (queries,).

    Args:
        similarities: Of queries and texts; shape (queries, texts).
        own: The place of each query's own text; int (queries,).
    """
    reached = np.take_along_axis(similarities, own[:, None], axis=1)
    return np.asarray(1 + (similarities > reached).sum(axis=1), dtype=np.int64)


def measure_one(ranked: Sequence[int], wanted: AbstractSet[int]) -> list[float]:
    """The measures of one query, as `MEASURES` names them.

    Recall is the share of what is wanted among the first k; the reciprocal rank that of the first
    right one within `DEPTH`; nDCG that of Järvelin & Kekäläinen 2002 with gains of 0 and 1.

    Args:
        ranked: What was found, the best first, each once.
        wanted: What should be; not empty.

    Examples:
        >>> measure_one([7, 3, 9], {3})
        [0.0, 1.0, 1.0, 0.5, 0.6309297535714575]
    """
    hits = [place for place, one in enumerate(ranked[:DEPTH], 1) if one in wanted]
    recalls = [sum(place <= k for place in hits) / len(wanted) for k in (1, 5, 10)]
    gain = sum(_discount(place) for place in hits if place <= 10)
    best = sum(_discount(place) for place in range(1, min(len(wanted), 10) + 1))
    return [*recalls, 1 / hits[0] if hits else 0.0, gain / best]


def _discount(place: int) -> float:
    return float(1 / np.log2(place + 1))
