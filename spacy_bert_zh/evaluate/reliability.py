"""Stand-in until the room has it."""

from typing import Any

import numpy as np


def calibration_error(scores: Any, gold: Any, known: Any, exclusive: bool, bins: int = 15) -> float:
    if exclusive:
        s, r = scores.max(1), gold[np.arange(len(gold)), scores.argmax(1)] > 0
    else:
        s, r = scores[known], gold[known] > 0
    order = np.argsort(s, kind="stable")
    return float(
        sum(abs(s[p].sum() - r[p].sum()) for p in np.array_split(order, bins) if len(p)) / len(s)
    )
