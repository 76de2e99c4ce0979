"""How a model comes to believe each label while it learns: the map of a corpus."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.folds import Rows

EPOCHS = 10
"""Times that the rows are learnt from, and looked at afterwards."""
# Slow enough that a row with a wrong label is not yet known by heart; chosen on NLPCC-2017.
_RATE = 0.5


class Dynamics(NamedTuple):
    """Where rows stand on a data map (Swayamdipta et al. 2020, arXiv 2009.10795, section 2.1).

    Attributes:
        confidence: The mean score of a row's label over the epochs, from 0 to 1; float (rows,).
        variability: Their standard deviation, from 0 to 0.5; float (rows,).
    """

    confidence: NDArray[np.float64]
    variability: NDArray[np.float64]


def follow(rows: Rows, features: Any, seed: int) -> Dynamics:
    """Let a linear model learn all rows, and see what it thinks of each after every epoch.

    It is a logistic regression for each label, by stochastic gradient descent. Where labels don't
    exclude each other, a row's most doubtful label counts.

    Args:
        rows: The corpus.
        features: What it learns from, see `make_features`.
        seed: Of the order in which rows are learnt.
    """
    from scipy.special import expit
    from sklearn.linear_model import SGDClassifier

    order = np.random.RandomState(seed)  # the models draw from it, one after the other
    settings = {"loss": "log_loss", "alpha": 1e-6, "learning_rate": "constant", "eta0": _RATE}
    models = [SGDClassifier(**settings, random_state=order) for _ in rows.labels]
    sums = np.zeros((2, len(rows.texts), 1 if rows.exclusive else len(rows.labels)))
    for _ in range(EPOCHS):
        for model, own in zip(models, rows.gold.T, strict=True):
            model.partial_fit(features, own, classes=[False, True])
        scores = expit(np.stack([model.decision_function(features) for model in models], axis=1))
        believed = _believed(rows, scores)
        sums += believed, believed**2
    mean, square = sums / EPOCHS
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    doubtful = np.arange(len(mean)), mean.argmin(axis=1)
    return Dynamics(mean[doubtful], spread[doubtful])


def _believed(rows: Rows, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What scores leave for what is given: of the label, or of each label's yes or no."""
    if rows.exclusive:
        return (scores / scores.sum(axis=1, keepdims=True))[rows.gold][:, None]
    return np.where(rows.gold, scores, 1.0 - scores)
