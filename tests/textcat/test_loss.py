"""The loss: cross-entropy with class weights, label smoothing and soft targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from thinc.api import Adam

from spacy_bert_zh.errors import BertZhError
from tests.conftest import close, example_of, initialized, make_examples, pipe_of, teach

Make = Callable[..., Language]


def numbers(pipe: Any, cats: list[dict[str, float]], scores: Any) -> tuple[float, np.ndarray]:
    nlp = spacy.blank("zh")
    examples = [example_of(nlp, row) for row in cats]
    loss, gradient = pipe.get_loss(examples, np.asarray(scores, dtype="float32"))
    return loss, gradient


def cross_entropy(targets: np.ndarray, scores: np.ndarray, exclusive: bool) -> np.ndarray:
    terms = targets * np.log(scores)
    if not exclusive:
        terms += (1 - targets) * np.log(1 - scores)
    return -terms


ROWS = [{"a": 1.0, "b": 0.0, "c": 0.0}, {"a": 0.0, "b": 0.0, "c": 1.0}]
TRUTHS = np.asarray([[1.0, 0, 0], [0, 0, 1.0]])
SCORES = np.asarray([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]])


def test_loss_is_cross_entropy(factory: str, make_pipeline: Make) -> None:
    pipe = initialized(make_pipeline(factory))
    loss, gradient = numbers(pipe, ROWS, SCORES)
    assert loss == pytest.approx(cross_entropy(TRUTHS, SCORES, factory == "bert_textcat").sum() / 2)
    np.testing.assert_allclose(gradient, (SCORES - TRUTHS) / 2, atol=1e-6)


def test_class_weights_scale_documents_or_labels(factory: str, make_pipeline: Make) -> None:
    pipe = initialized(make_pipeline(factory, {"class_weights": {"a": 3.0, "c": 0.5}}))
    loss, gradient = numbers(pipe, ROWS, SCORES)
    exclusive = factory == "bert_textcat"
    # All labels of a document weigh as its own; else each weighs where it is true.
    weights = [[3.0], [0.5]] if exclusive else [[3.0, 1, 1], [1, 1, 0.5]]
    losses = cross_entropy(TRUTHS, SCORES, exclusive) * weights
    assert loss == pytest.approx(losses.sum() / 2)
    np.testing.assert_allclose(gradient, (SCORES - TRUTHS) * weights / 2, atol=1e-6)


def test_balanced_weights_make_up_for_rare_labels(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory, {"class_weights": "balanced"})
    cats = [{"a": 1.0, "b": 0.0, "c": 0.0}] * 6 + [{"a": 0.0, "b": 1.0, "c": 0.0}] * 2
    examples = [example_of(nlp, row) for row in [*cats, {"a": 0.0, "b": 0.0, "c": 1.0}]]
    nlp.initialize(lambda: examples)
    # As scikit-learn's compute_class_weight: n / (classes × count)
    expected = {"a": 9 / (3 * 6), "b": 9 / (3 * 2), "c": 9 / (3 * 1)}
    assert pipe_of(nlp).cfg["label_weights"] == close(expected)
    _, gradient = numbers(pipe_of(nlp), [cats[0]], [[0.2, 0.4, 0.4]])
    assert gradient[0, 0] == pytest.approx((0.2 - 1.0) * 0.5)


def test_labels_outside_the_given_ones_do_not_count(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory, {"class_weights": "balanced"})
    nlp.config["initialize"]["components"][factory] = {"labels": ["a", "b"]}
    examples = [example_of(nlp, {label: 1.0}) for label in "aabbzzzz"]
    nlp.initialize(lambda: examples)
    assert pipe_of(nlp).cfg["label_weights"] == {"a": 1.0, "b": 1.0}


def test_balance_helps_a_rare_label(make_pipeline: Make) -> None:
    def recall(class_weights: str | None) -> float:
        nlp = make_pipeline(settings={"class_weights": class_weights}, pooling="mean")
        examples = make_examples(nlp, 80)
        rare = [eg for eg in examples if eg.reference.cats["pos"]][:4]
        common = [eg for eg in examples if eg.reference.cats["neg"]]
        teach(nlp, [*common, *rare], epochs=6)
        scores = nlp.evaluate(make_examples(nlp, 40, seed=5))
        value: float = scores["cats_f_per_type"]["pos"]["r"]
        return value

    assert recall("balanced") > recall(None)


def test_label_smoothing(factory: str, make_pipeline: Make) -> None:
    pipe = initialized(make_pipeline(factory, {"label_smoothing": 0.3}))
    _, gradient = numbers(pipe, ROWS, SCORES)
    exclusive = factory == "bert_textcat"
    targets = 0.7 * TRUTHS + (0.1 if exclusive else 0.15)
    np.testing.assert_allclose(gradient, (SCORES - targets) / 2, atol=1e-6)
    loss, still = numbers(pipe, ROWS, targets)
    assert np.abs(still).max() < 1e-6
    assert loss == pytest.approx(cross_entropy(targets, targets, exclusive).sum() / 2, rel=1e-5)


def test_soft_targets_are_met(factory: str, make_pipeline: Make) -> None:
    """The loss is least, and its gradient zero, where the scores are the targets."""
    pipe = initialized(make_pipeline(factory))
    target = {"a": 0.6, "b": 0.3, "c": 0.1}
    row = np.asarray([list(target.values())])
    least, gradient = numbers(pipe, [target], row)
    assert np.abs(gradient).max() < 1e-6
    for other in ([[0.5, 0.3, 0.2]], [[0.7, 0.2, 0.1]], [[0.58, 0.31, 0.11]]):
        assert numbers(pipe, [target], other)[0] > least


def test_soft_targets_are_learned(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory)
    initialized(nlp)
    target = {"a": 0.6, "b": 0.3, "c": 0.1}
    optimizer = Adam(0.02)
    for _ in range(60):
        nlp.update([example_of(nlp, target)], sgd=optimizer)
    assert nlp("好吃").cats == close(target, 0.05)


def test_what_is_not_annotated_has_no_gradient(make_pipeline: Make) -> None:
    multi = initialized(make_pipeline("bert_textcat_multilabel"))
    _, gradient = numbers(multi, [{"a": 1.0}, {}], SCORES)
    np.testing.assert_allclose(gradient, [[(0.5 - 1) / 2, 0, 0], [0, 0, 0]], atol=1e-6)
    single = initialized(make_pipeline())
    loss, gradient = numbers(single, [{}, ROWS[1]], SCORES)
    assert loss == pytest.approx(-np.log(0.6) / 2)
    assert not gradient[0].any()
    assert gradient[1].any()


@pytest.mark.parametrize(
    ("cats", "message"),
    [
        ({"a": 1.0, "b": 1.0}, "takes one label a document, .* '好吃' add up to 2, not 1; .*multi"),
        ({"a": 0.3, "b": 0.2}, "add up to 0.5, not 1"),
        ({"a": 1.5, "b": 0.0}, "give 'a' the value 1.5: it must be between 0 and 1"),
        ({"a": -0.5, "b": 1.0}, "give 'a' the value -0.5"),
        ({"a": float("nan"), "b": 1.0}, "give 'a' the value nan"),
    ],
)
def test_cats_that_are_no_distribution(
    cats: dict[str, float], message: str, make_pipeline: Make
) -> None:
    nlp = make_pipeline()
    with pytest.raises(BertZhError, match=message):
        nlp.initialize(lambda: [example_of(nlp, cats)])
    initialized(nlp)
    with pytest.raises(BertZhError, match=message):
        nlp.update([example_of(nlp, cats)])


def test_multilabel_cats_need_only_be_probabilities(make_pipeline: Make) -> None:
    nlp = make_pipeline("bert_textcat_multilabel")
    initialized(nlp)
    assert nlp.update([example_of(nlp, {"a": 1.0, "b": 1.0, "c": 0.4})])
    with pytest.raises(BertZhError, match=r"give 'c' the value 1\.2"):
        nlp.update([example_of(nlp, {"c": 1.2})])
