"""Sets of labels that hold the right one as often as was asked."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError


def find_least(scores: NDArray[Any], gold: NDArray[Any], coverage: float) -> float:
    """Find the score from which on a label belongs to the set of a text.

    Split conformal prediction: a new text's right label has that score with a probability of
    `coverage` at least, over the draw of these texts and of the new one (Sadinle et al. 2019,
    arXiv 1609.00451, section 2; with the score of the right label, no other sets of this coverage
    are smaller on average).

    Args:
        scores: Of exclusive labels; shape (texts, labels).
        gold: 1 for the label that holds, else 0; shape (texts, labels).
        coverage: The share that was asked for.

    Raises:
        BertZhError: The texts are too few.
    """
    texts = len(scores)
    rank = math.floor((texts + 1) * (1 - coverage) + 1e-9)  # of the score, from the lowest
    if rank < 1:
        needed = math.ceil(1 / (1 - coverage) - 1e-9) - 1
        raise BertZhError(
            f"--coverage {coverage:g} takes {needed:,} texts at least, and the corpus has "
            f"{texts:,}: give a larger one or ask for less"
        )
    right = scores[np.arange(texts), gold.argmax(1)]
    # A little less, or rounding where it is saved could shut out the very text that it is from.
    return float(f"{np.sort(right)[rank - 1] * (1 - 1e-6):.9g}")
