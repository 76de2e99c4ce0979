"""An ensemble whose halves learn apart: gradients, what each half knows, and the common answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from thinc.api import Adam, set_dropout_rate

from spacy_bert_zh.textcat.cascade import halves
from spacy_bert_zh.textcat.halves import begin_apart
from tests.conftest import FACTORIES, make_examples, pipe_of, teach
from tests.textcat.cats import Make

LINEAR = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096, "ngram_size": 2}


@pytest.fixture
def ensemble(make_pipeline: Make, still: Path, factory: str) -> Language:
    """Without dropout: the same answer twice, also in what learns."""
    return build(make_pipeline, still, factory, factory)


def build(make_pipeline: Make, still: Path, factory: str, component: str) -> Language:
    model = {
        **make_pipeline(factory, name=str(still)).config["components"][factory]["model"],
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v3",
        "linear_model": LINEAR,
        "linear_rate": 2.0,
    }
    nlp = spacy.blank("zh")
    nlp.add_pipe(component, config={"model": model})
    return nlp


def scores_of(logits: Any, exclusive: bool) -> Any:
    if not exclusive:
        return 1 / (1 + np.exp(-logits))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_each_half_learns_from_its_own_faults(ensemble: Language, factory: str) -> None:
    examples = make_examples(ensemble, 16)
    teach(ensemble, examples, epochs=1)
    pipe = pipe_of(ensemble)
    docs = [example.predicted for example in examples]
    _, head, linear = pipe.model.layers

    def loss() -> float:
        return sum(pipe.get_loss(examples, one)[0] for one in begin_apart(pipe.model, docs)[0])

    set_dropout_rate(pipe.model, 0.0)
    answers, backprop = begin_apart(pipe.model, docs)
    backprop([pipe.get_loss(examples, one)[1] for one in answers])
    row = int(np.abs(linear.get_grad("W")).sum(axis=1).argmax())
    for layer, name, place in ((head, "b", 0), (head, "W", (1, 3)), (linear, "W", (row, 0))):
        gradient, weights = float(layer.get_grad(name)[place]), layer.get_param(name)
        step, found = 1e-2, []
        for sign in (1, -1):
            moved = weights.copy()
            moved[place] += sign * step
            layer.set_param(name, moved)
            found.append(loss())
        layer.set_param(name, weights)
        assert gradient == pytest.approx((found[0] - found[1]) / (2 * step), rel=2e-2, abs=1e-5)


def test_the_answer_is_the_geometric_mean(ensemble: Language, factory: str) -> None:
    examples = make_examples(ensemble, 64)
    teach(ensemble, examples, epochs=2)
    pipe = pipe_of(ensemble)
    set_dropout_rate(pipe.model, 0.0)
    docs = [example.predicted for example in examples]
    network, linear = begin_apart(pipe.model, docs)[0]
    logits = (np.log(network) + np.log(linear)) / 2
    if factory == FACTORIES[1]:
        logits -= (np.log(1 - network) + np.log(1 - linear)) / 2
    expected = scores_of(logits, factory == FACTORIES[0])
    assert pipe.predict(docs) == pytest.approx(expected, abs=1e-4)
    ngrams, both = halves(pipe.model, docs)
    assert expected == pytest.approx(scores_of(both, factory == FACTORIES[0]), abs=1e-4)
    assert linear == pytest.approx(scores_of(2 * ngrams, factory == FACTORIES[0]), abs=1e-5)


def test_each_half_knows_the_labels_alone(ensemble: Language) -> None:
    examples = make_examples(ensemble, 64)
    teach(ensemble, examples)
    pipe = pipe_of(ensemble)
    docs = [example.predicted for example in examples]
    gold = [max(e.reference.cats, key=e.reference.cats.__getitem__) for e in examples]
    for scores in (*begin_apart(pipe.model, docs)[0], pipe.predict(docs)):
        right = [
            pipe.labels[place] == one for place, one in zip(scores.argmax(1), gold, strict=True)
        ]
        assert np.mean(right) > 0.9


def test_spacys_own_component_learns_with_one_loss(make_pipeline: Make, still: Path) -> None:
    nlp = build(make_pipeline, still, FACTORIES[0], "textcat")
    examples = make_examples(nlp, 32)
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.01)
    losses = [nlp.update(examples, sgd=optimizer)["textcat"] for _ in range(30)]
    assert losses[-1] < losses[0] / 2


def test_nothing_to_learn_from_changes_nothing(ensemble: Language) -> None:
    examples = make_examples(ensemble, 8)
    teach(ensemble, examples, epochs=1)
    pipe = pipe_of(ensemble)
    before = pipe.to_bytes()
    empty = make_examples(ensemble, 0)
    assert pipe.update(empty, sgd=Adam(0.1)) == {pipe.name: 0.0}
    assert pipe.to_bytes() == before


def test_what_is_no_example_is_refused_as_spacy_does(ensemble: Language) -> None:
    examples = make_examples(ensemble, 8)
    teach(ensemble, examples, epochs=1)
    with pytest.raises(TypeError, match="E978"):
        pipe_of(ensemble).update([examples[0].reference])
