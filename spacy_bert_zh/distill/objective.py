"""The loss of a student: cross-entropy with what teachers say, and with the gold label.

Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), section 2.
"""

from typing import Any, cast

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from thinc.types import Floats2d

from spacy_bert_zh.textcat import BertTextCat, Objective

GOLD = "gold"
"""Under this name a taught document keeps its gold cats, in ``user_data``."""
LEAST = 1e-30


def soften(scores: Any, temperature: float, exclusive: bool) -> Any:
    """What scores would be, had their logits been divided by a temperature (eq. 1).

    Args:
        scores: Of a softmax, or of a sigmoid for each label; shape (documents, labels).
        temperature: 1 changes nothing.
        exclusive: Whether they are of a softmax.

    Returns:
        Scores of the same shape.

    Examples:
        >>> soften(np.asarray([[0.9, 0.1]]), 2.0, True)
        array([[0.75, 0.25]])
    """
    if exclusive:
        powers = scores.clip(LEAST, 1.0) ** (1.0 / temperature)
        return powers / powers.sum(axis=1, keepdims=True)
    odds = (scores.clip(LEAST, 1.0) / (1.0 - scores).clip(LEAST, 1.0)) ** (1.0 / temperature)
    return odds / (1.0 + odds)


def make_objective(
    pipe: BertTextCat, exclusive: bool, temperature: float, gold_share: float
) -> Objective:
    """Make the loss of a component that is a student.

    Of a text with gold cats it is (1 - share) T² H(teacher, student; T) + share H(gold, student),
    of another the first term alone with share = 0, averaged over the documents. H is the
    cross-entropy, of several labels that don't exclude each other their sum.

    Args:
        pipe: The student.
        exclusive: Whether its labels exclude each other.
        temperature: T.
        gold_share: The share.
    """
    xp = pipe.model.ops.xp

    def objective(examples: list[Example], scores: Floats2d) -> tuple[float, Floats2d]:
        docs = [example.reference for example in examples]
        taught = soften(_matrix(pipe, [doc.cats for doc in docs]), temperature, exclusive)
        gold = _matrix(pipe, [_gold(doc) or {} for doc in docs])
        shares = [gold_share if _gold(doc) is not None else 0.0 for doc in docs]
        share = xp.asarray(shares, dtype="float32")[:, None]
        soft = soften(scores, temperature, exclusive)
        losses = (1.0 - share) * temperature**2 * _entropy(xp, taught, soft, exclusive)
        losses += share * _entropy(xp, gold, scores, exclusive)
        gradient = (1.0 - share) * temperature * (soft - taught) + share * (scores - gold)
        return float(losses.sum()) / len(docs), cast(Floats2d, gradient / len(docs))

    return objective


def _gold(doc: Doc) -> dict[str, float] | None:
    return cast(dict[str, float] | None, doc.user_data.get(GOLD))


def _matrix(pipe: BertTextCat, cats: list[dict[str, float]]) -> Any:
    rows = [[one.get(label, 0.0) for label in pipe.labels] for one in cats]
    return pipe.model.ops.asarray2f(cast(Floats2d, np.asarray(rows, dtype="float32")))


def _entropy(xp: Any, targets: Any, scores: Any, exclusive: bool) -> Any:
    found = -targets * xp.log(scores.clip(LEAST, 1.0))
    if not exclusive:
        found -= (1.0 - targets) * xp.log((1.0 - scores).clip(LEAST, 1.0))
    return found
