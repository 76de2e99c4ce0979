"""A student's loss: its gradient, and whom it follows."""

from typing import Any

import numpy as np
import pytest
import spacy
from spacy.training import Example

from spacy_bert_zh.distill.objective import make_objective, soften
from spacy_bert_zh.textcat.head import activate
from tests.conftest import FACTORIES, pipe_of

LABELS = ["a", "b", "c"]
MODEL = {
    "@architectures": "spacy_bert_zh.NgramTextCat.v1",
    "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 64},
}


def student(factory: str) -> Any:
    nlp = spacy.blank("zh")
    exclusive = factory == FACTORIES[0]
    nlp.add_pipe(factory, config={"model": {**MODEL, "exclusive_classes": exclusive}})
    for label in LABELS:
        pipe_of(nlp).add_label(label)
    nlp.initialize()
    return nlp


def taught(nlp: Any, scores: list[float], gold: str | None) -> Example:
    doc = nlp.make_doc("好吃")
    doc.cats = dict(zip(LABELS, scores, strict=True))
    if gold:
        doc.user_data["gold"] = {label: float(label == gold) for label in LABELS}
    return Example(nlp.make_doc("好吃"), doc)


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_gradient_is_the_loss_s(factory: str) -> None:
    nlp = student(factory)
    exclusive = factory == FACTORIES[0]
    objective = make_objective(pipe_of(nlp), exclusive, 3.0, 0.3)
    examples = [taught(nlp, [0.7, 0.2, 0.1], "b"), taught(nlp, [0.1, 0.1, 0.8], None)]
    logits = np.asarray([[0.5, -1.0, 0.2], [1.0, 0.0, -0.5]], dtype="float64")

    def scores(values: Any) -> Any:
        if exclusive:
            powers = np.exp(values)
            return powers / powers.sum(axis=1, keepdims=True)
        return 1 / (1 + np.exp(-values))

    loss, gradient = objective(examples, scores(logits))
    assert loss > 0
    for place in np.ndindex(logits.shape):
        moved = np.zeros_like(logits)
        moved[place] = 1e-5
        up, down = (objective(examples, scores(logits + s * moved))[0] for s in (1, -1))
        assert gradient[place] == pytest.approx((up - down) / 2e-5, abs=1e-6)


@pytest.mark.parametrize("exclusive", [True, False])
def test_softening_divides_logits(exclusive: bool) -> None:
    nlp = student(FACTORIES[0 if exclusive else 1])
    logits = np.asarray([[3.0, -1.0, 0.5]], dtype="float32")
    model = pipe_of(nlp).model
    sharp, soft = activate(model, logits.copy()), activate(model, logits / 2)
    assert soften(sharp, 2.0, exclusive) == pytest.approx(soft, abs=1e-6)
    certain = soften(np.asarray([[1.0, 0.0, 0.0]], dtype="float32"), 2.0, exclusive)
    assert np.isfinite(certain).all() and certain[0].argmax() == 0


@pytest.mark.parametrize(("share", "winner"), [(0.0, "a"), (1.0, "b")])
def test_the_share_says_whom_it_follows(share: float, winner: str) -> None:
    nlp = student(FACTORIES[0])
    pipe = pipe_of(nlp)
    pipe.objective = make_objective(pipe, True, 2.0, share)
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.1
    for _ in range(20):
        nlp.update([taught(nlp, [0.8, 0.1, 0.1], "b")], sgd=optimizer)
    scores = nlp("好吃").cats
    assert max(scores, key=scores.__getitem__) == winner
