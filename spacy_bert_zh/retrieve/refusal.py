"""When none of the answers is right: a confidence, and from which on one is given."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.retrieve.ranking import By, Ranked
from spacy_bert_zh.trust.abstention import find_score
from spacy_bert_zh.untrusted import Closed

_SIGNS = 4
Number = Annotated[float, Field(ge=-1e6, le=1e6)]


class Refusal(Closed):
    """How sure the first hit is, and how sure it must be.

    Attributes:
        by: The ranking that it is for.
        weights: Of what `signs` says.
        bias: Added to their sum.
        score: The confidence from which on an answer is given.
        right: The share of such answers that was asked for.
        answered: The share of the questions that got one when this was found.
    """

    by: By
    weights: Annotated[list[Number], Field(min_length=_SIGNS, max_length=_SIGNS)]
    bias: Number
    score: Annotated[float, Field(ge=0, le=1)]
    right: Annotated[float, Field(gt=0, lt=1)]
    answered: Annotated[float, Field(ge=0, le=1)]

    def confidence(self, ranked: Ranked) -> float:
        """The probability that the first hit is right; 0 where there is none."""
        if not ranked.hits:
            return 0.0
        logit = float(np.dot(signs(ranked), self.weights)) + self.bias
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def signs(ranked: Ranked) -> list[float]:
    """What tells whether the first hit is right.

    Its cosine and its BM25, and by how much each is above the best of any other entry.
    """
    first = ranked.hits[0][0]
    found = []
    for scores in (ranked.vectors, ranked.words):
        own = scores.get(first, 0.0)
        others = max((score for entry, score in scores.items() if entry != first), default=0.0)
        found += [own, own - others]
    return found


def fit_refusal(
    ranked: Sequence[Ranked], correct: NDArray[np.bool_], by: By, aim: float
) -> Refusal:
    """Find when to give an answer, on questions that have taught nothing else.

    A logistic regression makes a confidence of the signs (Platt 1999) on one half of the
    questions; on the other half `find_score` finds from which on enough of the answers are right,
    with its guarantee.

    Args:
        ranked: What was found for each question.
        correct: Whether its first hit is right; never for questions without an answer.
        by: The ranking.
        aim: The share of the answers given that shall be right.

    Raises:
        BertZhError: The questions are too few, or the answers too bad.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.asarray([signs(one) if one.hits else [0.0] * _SIGNS for one in ranked])
    halves = np.array_split(np.random.default_rng(0).permutation(len(rows)), 2)
    if len({*correct[halves[0]].tolist()}) < 2:
        raise BertZhError(
            "--questions: to learn when to answer takes questions that are answered rightly, and "
            "others that aren't, such as some that have no answer here: give more of both"
        )
    model: Any = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(rows[halves[0]], correct[halves[0]])
    scaler, regression = model[0], model[1]
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - weights @ scaler.mean_)
    made = Refusal(by=by, weights=weights.tolist(), bias=bias, score=0, right=aim, answered=0)
    sure = np.asarray([made.confidence(ranked[row]) for row in halves[1]])
    found = find_score(sure, correct[halves[1]], aim)
    return made.model_copy(update={"score": found.score, "answered": found.answered})
