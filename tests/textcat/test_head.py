"""The head on a backbone's vectors: any scale, a start that knows something, plain weights."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from thinc.api import Adam, Model

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.loading import take_apart
from spacy_bert_zh.textcat import (
    build_bert_text_cat_ensemble_v2,
    build_bert_text_cat_v2,
    build_ngram_linear_v1,
    plain_weights,
)
from spacy_bert_zh.textcat.head import build_head, draw, resized_head, start
from tests.conftest import make_examples

LABELS, WIDTH = 3, 8


def separable(scale: float, offset: float, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in three heaps, close together beside their distance from 0, and their labels."""
    random = np.random.default_rng(0)
    truths = np.eye(LABELS, dtype="float32")[np.arange(count) % LABELS]
    heaps = np.zeros((LABELS, WIDTH))
    heaps[:, :LABELS] = np.eye(LABELS)
    vectors = truths @ heaps + 0.05 * random.normal(size=(count, WIDTH))
    return (scale * (vectors + offset)).astype("float32"), truths


def built(exclusive: bool, X: np.ndarray, Y: np.ndarray) -> Model:
    head = build_head(exclusive, None, 10.0)
    head.initialize(X=X, Y=Y)
    return head


def right(head: Model, X: np.ndarray, Y: np.ndarray) -> float:
    return float((head.predict(X).argmax(1) == Y.argmax(1)).mean())


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-3, 30), (1e4, 5), (1e-2, -100)])
def test_learns_vectors_of_any_scale_at_the_rate_of_an_encoder(
    exclusive: bool, scale: float, offset: float
) -> None:
    X, Y = separable(scale, offset)
    head = built(exclusive, X, Y)
    optimizer = Adam(1e-3)
    for _ in range(100):
        scores, backprop = head.begin_update(X)
        backprop((scores - Y) / len(X))
        head.finish_update(optimizer)
    assert right(head, X, Y) == 1.0


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-50, 50), st.booleans())
def test_plain_weights_say_the_same(scale: float, offset: float, exclusive: bool) -> None:
    X, Y = separable(scale, offset)
    head = built(exclusive, X, Y)
    head.set_param("W", np.random.default_rng(1).normal(size=(LABELS, WIDTH)).astype("float32"))
    W, b = plain_weights(head)
    logits = X.astype("float64") @ W.astype("float64").T + b
    scores = head.predict(X)
    exp = np.exp(logits - logits.max(1, keepdims=True))
    expected = exp / exp.sum(1, keepdims=True) if exclusive else 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(scores, expected, atol=2e-3)


def test_a_vector_that_never_changes_is_no_division_by_zero() -> None:
    X = np.ones((4, WIDTH), dtype="float32")
    head = built(True, X, np.eye(4, LABELS, dtype="float32"))
    assert np.isfinite(head.predict(X)).all()
    assert np.isfinite(head.predict(X + 1)).all()


def test_gradient_goes_down_in_the_vectors_own_scale() -> None:
    X, Y = separable(10, 7)
    head = built(True, X, Y)
    head.set_param("W", np.random.default_rng(1).normal(size=(LABELS, WIDTH)).astype("float32"))
    scores, backprop = head.begin_update(X)
    found = backprop(scores - Y)

    def loss(vectors: np.ndarray) -> float:
        return float(-(Y * np.log(head.predict(vectors).astype("float64"))).sum())

    step = np.zeros_like(X)
    step[5, 2] = 0.05
    slope = (loss(X + step) - loss(X - step)) / 0.1
    assert found[5, 2] == pytest.approx(slope, rel=2e-2)


def test_room_for_new_labels_keeps_scale_and_rate() -> None:
    X, Y = separable(0.01, 7)
    head = built(True, X, Y)
    weights = 0.1 * np.random.default_rng(1).normal(size=(LABELS, WIDTH))
    head.set_param("W", weights.astype("float32"))
    after = resized_head(head, LABELS + 2)
    np.testing.assert_allclose(after.predict(X)[:, :LABELS], head.predict(X), atol=1e-3)
    assert after.attrs["head_rate"] == head.attrs["head_rate"]


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("exclusive", [True, False])
def test_starts_as_a_logistic_regression(exclusive: bool, ensemble: bool, checkpoint: Path) -> None:
    """Before any step it tells most texts apart, and less so if half of the labels are unknown."""
    nlp = spacy.blank("zh")
    examples = make_examples(nlp, 80)
    docs = [example.reference for example in examples]
    truths = np.asarray([[d.cats["neg"], d.cats["pos"]] for d in docs], dtype="float32")
    backbone = build_torch_backbone_v1(str(checkpoint), max_length=32)
    model = (
        build_bert_text_cat_ensemble_v2(
            backbone, build_ngram_linear_v1(), 0.0, exclusive_classes=exclusive
        )
        if ensemble
        else build_bert_text_cat_v2(backbone, 0.0, exclusive_classes=exclusive)
    )
    model.initialize(X=docs[:10], Y=truths[:10])
    head = model.get_ref("output_layer")
    start(model, docs, truths, np.zeros((len(docs), 1), dtype="float32"))
    assert not head.get_param("W").any()  # nothing is known, nothing is learnt
    start(model, docs, truths, np.ones((len(docs), 1), dtype="float32"))
    assert (model.predict(docs).argmax(1) == truths.argmax(1)).mean() > 0.8


def test_the_component_starts_it_and_saves_it(checkpoint: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    backbone = {
        "@architectures": "spacy_bert_zh.TorchBackbone.v1",
        "name": str(checkpoint),
        "max_length": 32,
    }
    model = {"@architectures": "spacy_bert_zh.BertTextCat.v2", "backbone": backbone}
    pipe = nlp.add_pipe("bert_textcat", config={"model": model})
    examples = make_examples(nlp, 80)
    nlp.initialize(lambda: examples)
    scores = nlp.evaluate(examples)
    assert scores["cats_macro_f"] > 0.8
    nlp.to_disk(tmp_path / "pipeline")
    again = spacy.load(tmp_path / "pipeline")
    text = "味道不错，推荐"
    assert again(text).cats == nlp(text).cats
    parts = take_apart(pipe)
    W, b = plain_weights(pipe.model.get_ref("output_layer"))
    np.testing.assert_array_equal(parts.weights, W)
    np.testing.assert_array_equal(parts.bias, b)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 10))
def test_a_draw_is_the_same_each_time_and_whole_where_it_can_be(items: list, size: int) -> None:
    drawn = draw(iter(items), size)
    assert drawn == draw(iter(items), size)
    assert len(drawn) == min(size, len(items))
    assert len(items) > size or drawn == items
    assert not set(drawn) - set(items)
