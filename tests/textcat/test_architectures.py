"""Our architectures: heads that learn, in our components and in spaCy's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Adam, Model
from thinc.types import Floats2d

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.textcat.architectures import (
    build_bert_text_cat_ensemble_v1,
    build_bert_text_cat_v1,
)
from spacy_bert_zh.textcat.hashing import ngram_features
from spacy_bert_zh.textcat.ngrams import build_ngram_linear_v1
from tests.conftest import make_examples, teach

TextCat = Model[list[Doc], Floats2d]
NLP = spacy.blank("zh")
DOCS = [NLP.make_doc(text) for text in ("味道不错", "", "这家店太慢，老板服务冷淡")]


@pytest.fixture
def build(checkpoint: Path) -> Callable[..., TextCat]:
    """Build and initialise a model with random weights in its head, or in both."""

    def build(exclusive: bool = True, ensemble: bool = False) -> TextCat:
        backbone = build_torch_backbone_v1(str(checkpoint), max_length=32, stride=8)
        if ensemble:
            model = build_bert_text_cat_ensemble_v1(
                backbone, build_ngram_linear_v1(), 0.0, exclusive_classes=exclusive
            )
        else:
            model = build_bert_text_cat_v1(backbone, dropout=0.0, exclusive_classes=exclusive)
        model.initialize(X=DOCS, Y=np.zeros((len(DOCS), 3), dtype="float32"))
        random = np.random.default_rng(0)
        for part in linear_parts(model):
            for name in part.param_names:
                shape = part.get_param(name).shape
                scale = 0.01 if part.name == "ngram_linear" else 1.0  # linear_rate multiplies it
                part.set_param(name, (scale * random.normal(size=shape)).astype("float32"))
        return model

    return build


def linear_parts(model: TextCat) -> list[Model]:
    return [part for part in model.walk() if part.name in ("bert_textcat_head", "ngram_linear")]


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("exclusive", [True, False])
def test_scores_are_probabilities(
    exclusive: bool, ensemble: bool, build: Callable[..., TextCat]
) -> None:
    scores = build(exclusive, ensemble).predict(DOCS)
    assert scores.shape == (3, 3)
    assert ((scores > 0) & (scores < 1)).all()
    sums = scores.sum(axis=1)
    assert np.allclose(sums, 1.0, atol=1e-6) == exclusive


def cross_entropy(scores: np.ndarray, truths: np.ndarray, exclusive: bool) -> float:
    scores = scores.astype("float64")
    losses = truths * np.log(scores)
    if not exclusive:
        losses += (1 - truths) * np.log(1 - scores)
    return float(-losses.sum())


@pytest.mark.parametrize("exclusive", [True, False])
def test_gradient_of_the_head(exclusive: bool, build: Callable[..., TextCat]) -> None:
    """Against finite differences, for the weights and for what goes down to the backbone."""
    head = build(exclusive).get_ref("output_layer")
    X = np.random.default_rng(1).normal(size=(4, 16)).astype("float32")
    truths = np.eye(3, dtype="float32")[[0, 2, 1, 2]]
    scores, backprop = head.begin_update(X)
    dX = backprop(scores - truths)
    arrays = {"W": head.get_param("W"), "b": head.get_param("b"), "X": X}
    gradients = {"W": head.get_grad("W"), "b": head.get_grad("b"), "X": dX}
    for name, array in arrays.items():
        for index in [(0,) * array.ndim, tuple(size - 1 for size in array.shape)]:
            value, losses = array[index], []
            for step in (1e-2, -1e-2):
                array[index] = value + step
                losses.append(cross_entropy(head.predict(X), truths, exclusive))
            array[index] = value
            slope = (losses[0] - losses[1]) / 2e-2
            assert gradients[name][index] == pytest.approx(slope, abs=2e-3), name


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_ensemble_adds_logits(exclusive: bool, build: Callable[..., TextCat]) -> None:
    """And passes the gradient on to both members."""
    model = build(exclusive, ensemble=True)
    vectors, head, ngrams = model.layers
    logits = head.predict(vectors.predict(DOCS)) + 50.0 * ngrams.predict(DOCS)
    expected = model.ops.softmax(logits) if exclusive else model.ops.sigmoid(logits)
    np.testing.assert_allclose(model.predict(DOCS), expected, atol=1e-6)

    scores, backprop = model.begin_update(DOCS)
    gradient = scores - np.eye(3, dtype="float32")
    backprop(gradient)
    np.testing.assert_allclose(head.get_grad("b"), gradient.sum(axis=0), rtol=1e-5)
    texts, _, weights = ngram_features([doc.text for doc in DOCS], 3, ngrams.get_dim("nI"))
    expected = 50.0 * np.bincount(texts, weights, minlength=3) @ gradient
    np.testing.assert_allclose(ngrams.get_grad("W").sum(axis=0), expected, rtol=1e-4)


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("exclusive", [True, False])
def test_new_labels_leave_the_others_their_scores(
    exclusive: bool, ensemble: bool, build: Callable[..., TextCat]
) -> None:
    model = build(exclusive, ensemble)
    before = model.predict(DOCS)
    resized = model.attrs["resize_output"](model, 5)
    after = resized.predict(DOCS)
    assert after.shape == (3, 5)
    np.testing.assert_allclose(after[:, :3], before, rtol=0, atol=1e-3)
    assert after[:, 3:].max() < 1e-3
    assert resized.get_dim("nO") == resized.get_ref("output_layer").get_dim("nO") == 5
    scores, backprop = resized.begin_update(DOCS)
    backprop(scores)
    resized.finish_update(Adam(0.01))
    assert (resized.predict(DOCS) != after).all()


def stock_pipeline(factory: str, checkpoint: Path) -> Language:
    nlp = spacy.blank("zh")
    model = {
        "@architectures": "spacy_bert_zh.BertTextCat.v1",
        "exclusive_classes": factory == "textcat",
        "backbone": {
            "@architectures": "spacy_bert_zh.TorchBackbone.v1",
            "name": str(checkpoint),
            "max_length": 64,
            "stride": 8,
            "pooling": "mean",
        },
    }
    nlp.add_pipe(factory, config={"model": model})
    return nlp


@pytest.mark.parametrize("factory", ["textcat", "textcat_multilabel"])
def test_learns_in_the_stock_components(factory: str, checkpoint: Path, tmp_path: Path) -> None:
    nlp = stock_pipeline(factory, checkpoint)
    teach(nlp, make_examples(nlp, 64))
    assert nlp.evaluate(make_examples(nlp, 20, seed=5))["cats_macro_f"] > 0.8
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path)("味道不错").cats == nlp("味道不错").cats


def test_stock_textcat_can_add_a_label_later(checkpoint: Path) -> None:
    nlp = stock_pipeline("textcat", checkpoint)
    examples = make_examples(nlp, 8)
    nlp.initialize(lambda: examples)
    before = nlp("好吃").cats
    nlp.get_pipe("textcat").add_label("new")  # type: ignore[attr-defined]
    after = nlp("好吃").cats
    assert {k: pytest.approx(v, abs=1e-3) for k, v in before.items()} | {
        "new": after["new"]
    } == after
    assert after["new"] < 1e-3
