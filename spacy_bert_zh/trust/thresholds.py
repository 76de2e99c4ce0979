"""A threshold for each of several labels, by a named aim."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.trust.options import F1, PRECISION, Aim
from spacy_bert_zh.trust.scaling import logit

SHRINKAGE = 10
"""A label with so many texts goes half the way from the common threshold to its own; chosen on
parts of training texts."""


def find_thresholds(
    scores: NDArray[Any], gold: NDArray[Any], known: NDArray[Any], aim: Aim
) -> NDArray[np.float64]:
    """Find the threshold of each label.

    A label's own threshold is drawn towards the common one, which suits all labels together, the
    more, the fewer texts have it (in logits; an estimate from n texts has the weight n / (n + k)).

    Args:
        scores: Shape (texts, labels).
        gold: 1 where a label holds, else 0; shape (texts, labels).
        known: Whether that is known; shape (texts, labels).
        aim: What they are for.

    Returns:
        Shape (labels,).

    Raises:
        BertZhError: No threshold reaches the aim.
    """
    told = known.astype(bool)
    common = _best(scores[told], gold[told], aim)
    if common is None:
        raise BertZhError(
            f"--aim {aim.measure}={aim.least:g}: no threshold reaches it on this corpus: ask for "
            "less, or train a better pipeline"
        )
    found = []
    for column, truth, mask in zip(scores.T, gold.T, told.T, strict=True):
        own = _best(column[mask], truth[mask], aim)
        share = truth[mask].sum() / (truth[mask].sum() + SHRINKAGE)
        pair = logit(np.asarray([common, common if own is None else own]))
        found.append(1 / (1 + np.exp(-(pair[0] + share * (pair[1] - pair[0])))))
    return np.asarray(found)


def _best(scores: NDArray[Any], gold: NDArray[Any], aim: Aim) -> float | None:
    """The threshold that reaches the aim best; None if none does."""
    from sklearn.metrics import precision_recall_curve

    if not gold.any():
        return None
    precision, recall, thresholds = precision_recall_curve(gold, scores)
    precision, recall = precision[:-1], recall[:-1]  # the last belongs to no threshold
    if aim.measure == F1:
        value = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    elif aim.measure == PRECISION:
        value = np.where(precision >= aim.least, recall, -1.0)
    else:
        value = np.where(recall >= aim.least, precision, -1.0)
    best = int(value.argmax())
    if value[best] <= 0:
        return None
    # In the middle between it and the next lower score: texts between are as likely either.
    return float((thresholds[best] + thresholds[max(best - 1, 0)]) / 2)
