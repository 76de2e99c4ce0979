"""N-grams that are solved, not learnt: the solution, and the ensemble that has them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.textcat import (
    NgramTable,
    build_bert_text_cat_ensemble_v4,
    build_ngram_linear_v2,
    ridge,
    set_table,
    table_of,
)
from spacy_bert_zh.textcat.cascade import halves
from spacy_bert_zh.textcat.hashing import ngram_features
from spacy_bert_zh.textcat.ngrams import HASHES
from tests.conftest import close, make_examples, pipe_of, teach
from tests.textcat.cats import Make, cats_of

LENGTH = 4096
LINEAR = {"@architectures": "spacy_bert_zh.NgramLinear.v2", "length": 4096, "ngram_size": 2}
WORDS = st.lists(st.text("好坏快慢书", max_size=6), min_size=1, max_size=12)


def build(make_pipeline: Make, checkpoint: Path, factory: str, component: str = "") -> Language:
    model = {
        **make_pipeline(factory, name=str(checkpoint)).config["components"][factory]["model"],
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v4",
        "linear_model": LINEAR,
    }
    model.pop("linear_rate", None)
    nlp = spacy.blank("zh")
    nlp.add_pipe(component or factory, config={"model": model})
    return nlp


@pytest.fixture
def ensemble(make_pipeline: Make, still: Path, factory: str) -> Language:
    return build(make_pipeline, still, factory)


def dense(texts: list[str]) -> Any:
    owners, hashes, values = ngram_features(texts, 2, HASHES)
    keys, columns = np.unique(hashes, return_inverse=True)
    matrix = np.zeros((len(texts), len(keys)))
    matrix[owners, columns] = values
    return matrix, keys


@given(
    texts=WORDS,
    seed=st.integers(0, 99),
    rare=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_ridge_regression(texts: list[str], seed: int, rare: bool) -> None:
    rng, nlp = np.random.default_rng(seed), spacy.blank("zh")
    shape = (len(texts), 3)
    targets, weights = (rng.random(shape).astype("float32") for _ in range(2))
    weights[rng.random(shape) < 0.3] = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ridge, "TOLERANCE", 1e-6)
        patch.setattr(ridge, "STEPS", 100)
        patch.setattr(ridge, "_choose", lambda *_: (rare, 2.0))
        batches = [
            ([nlp.make_doc(text) for text in texts[part]], targets[part], weights[part])
            for part in (slice(0, 5), slice(5, None))
        ]
        found, scale = ridge.solve_table(batches, 2, LENGTH)
    assert scale == 2.0
    known = weights.any(axis=1)
    targets, weights = targets[known], weights[known]
    matrix, keys = dense([text for text, teaches in zip(texts, known, strict=True) if teaches])
    factors = np.ones(len(keys))
    assert (found.keys == keys).all() and found[1:3] == (2, HASHES)
    if rare and matrix.any():
        factors = 1 + np.log((1 + len(matrix)) / (1 + (matrix > 0).sum(axis=0)))
        factors /= np.linalg.norm(matrix * factors) / np.linalg.norm(matrix)
    for label in range(3):
        weight = weights[:, label]
        mean = (weight @ targets[:, label]) / max(weight.sum(), 1e-12)
        normal = matrix.T @ (weight[:, None] * matrix) + np.diag(ridge.PENALTY / factors**2)
        right = matrix.T @ (weight * (targets[:, label] - mean))
        assert found.weights[:, label] == pytest.approx(np.linalg.solve(normal, right), abs=1e-4)


def test_texts_beyond_what_memory_takes_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ridge, "MOST", 9)
    docs = [spacy.blank("zh").make_doc(text) for text in ("好书", "坏书", "")]
    one = np.ones((1, 2), dtype="float32")
    found, _ = ridge.solve_table((([doc], 0 * one, one) for doc in docs), 2, LENGTH)
    assert found.weights.shape == (len(dense(["好书", "坏书"])[1]), 2)
    assert "solved by the first 2 texts" in caplog.text
    assert not len(ridge.solve_table([(docs[2:], one, one)], 2, LENGTH)[0].weights)


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("exclusive", [True, False])
def test_they_are_as_sure_as_they_are_right(noise: float, exclusive: bool) -> None:
    rng, nlp = np.random.default_rng(0), spacy.blank("zh")
    said = rng.integers(0, 2, 2000)
    texts = ["".join(rng.choice(list("春夏秋冬雨雪"), 4)) + "坏好"[word] for word in said]
    truth = np.eye(2, dtype="float32")[np.where(rng.random(2000) < noise, 1 - said, said)]
    batches = [([nlp.make_doc(text) for text in texts[:1600]], truth[:1600], np.ones((1600, 2)))]
    table, scale = ridge.solve_table(batches, 2, LENGTH, exclusive)
    linear = build_ngram_linear_v2(2, LENGTH, 2)
    set_table(linear, table)
    logits = scale * linear.predict([nlp.make_doc(text) for text in texts[1600:]])
    margins = logits[:, 1] - logits[:, 0] if exclusive else logits[:, 1]
    surely = np.mean(1 / (1 + np.exp(-np.abs(margins))))
    right = np.mean((margins > 0) == truth[1600:, 1])
    assert surely == pytest.approx(right, abs=0.05) and right > 0.94 - noise


def test_the_ngrams_know_the_labels_before_the_training_and_keep_to_it(
    ensemble: Language, factory: str, tmp_path: Path
) -> None:
    examples = make_examples(ensemble, 64)
    optimizer = ensemble.initialize(lambda: examples)
    pipe = pipe_of(ensemble)
    linear = pipe.model.layers[-1]
    table = table_of(linear).weights.copy()
    logits, _ = halves(pipe.model, [example.reference for example in examples])
    gold = [pipe.labels.index(max(e.reference.cats, key=e.reference.cats.get)) for e in examples]
    assert np.mean(logits.argmax(axis=1) == gold) > 0.9
    for _ in range(5):
        ensemble.update(examples, sgd=optimizer)
    assert (table_of(linear).weights == table).all() and (linear.id, "W") not in optimizer.mom1
    assert ensemble.evaluate(make_examples(ensemble, 40, 2))["cats_macro_auc"] > 0.95
    ensemble.to_disk(tmp_path / "nlp")
    assert cats_of(load_pipeline(tmp_path / "nlp")) == [close(cats) for cats in cats_of(ensemble)]


def test_the_network_has_its_share(ensemble: Language) -> None:
    teach(ensemble, make_examples(ensemble, 32), epochs=2)
    pipe = pipe_of(ensemble)
    docs = [example.reference for example in make_examples(ensemble, 8, 2)]
    vectors, head, _ = pipe.model.layers
    ngrams, both = halves(pipe.model, docs)
    W, bias = head.get_param("W"), head.get_param("b")
    alone = (head.predict(vectors.predict(docs)) - bias) / 0.4 + bias
    assert W.any() and both - ngrams == pytest.approx(0.4 * alone, abs=1e-4)


def test_without_scipy_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    one = np.ones((1, 2), dtype="float32")
    with pytest.raises(BertZhError, match=r"'scipy'.*spacy-bert-zh\[torch\]"):
        ridge.solve_table([([spacy.blank("zh").make_doc("好")], one, one)], 2, LENGTH)


def test_the_rarest_ngrams_give_way() -> None:
    nlp = spacy.blank("zh")
    texts = ["好书", "好吃", "坏书", "坏人"]
    labels = np.eye(2, dtype="float32")[[0, 0, 1, 1]]
    batches = [([nlp.make_doc(text) for text in texts], labels, np.ones((4, 2), dtype="float32"))]
    every, few = (ridge.solve_table(batches, 2, length)[0] for length in (100, 5))
    assert len(every.keys) == 9 and len(few.keys) == len("好坏书")
    assert set(few.keys) == set(ngram_features(["好坏书"], 1, HASHES)[1])


def test_ngrams_that_no_training_text_has_add_nothing() -> None:
    linear, nlp = build_ngram_linear_v2(1, LENGTH, 1), spacy.blank("zh")
    _, hashes, _ = ngram_features(["好", "书"], 1, HASHES)
    known = NgramTable(np.ones((1, 1), dtype="float32"), 1, HASHES, hashes[:1])
    set_table(linear, known)
    again = build_ngram_linear_v2(1, LENGTH, 1).from_bytes(linear.to_bytes())
    for model in (linear, again, resized(again)):
        found = model.predict([nlp.make_doc(text) for text in ("好", "书", "好书", "")])
        assert found[:, 0] == pytest.approx([1, 0, 1 / np.sqrt(2), 0])
    set_table(linear, known._replace(weights=known.weights[:0], keys=known.keys[:0]))
    assert not linear.predict([nlp.make_doc("好书")]).any()


def resized(model: Any) -> Any:
    return model.attrs["resize_output"](model, 2)


def test_labels_that_are_not_known_teach_nothing() -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe(
        "bert_textcat_multilabel",
        config={
            "model": {"@architectures": "spacy_bert_zh.NgramTextCat.v1", "linear_model": LINEAR}
            | {"exclusive_classes": False}
        },
    )
    examples = make_examples(nlp, 32)
    nlp.initialize(lambda: examples)
    before = table_of(pipe_of(nlp).model.layers[0])
    more = make_examples(nlp, 40, 2)[32:]
    for example in more:
        example.reference.cats = {}
    nlp.initialize(lambda: [*examples, *more])
    after = table_of(pipe_of(nlp).model.layers[0])
    assert (after.keys == before.keys).all()
    assert after.weights == pytest.approx(before.weights, abs=1e-5)


def test_a_component_of_spacys_own_is_refused(make_pipeline: Make, still: Path) -> None:
    nlp = build(make_pipeline, still, "bert_textcat", "textcat")
    examples = make_examples(nlp, 8)
    optimizer = nlp.initialize(lambda: examples)
    assert nlp("好").cats  # its n-grams say nothing
    with pytest.raises(BertZhError, match=r"NgramLinear\.v2 is solved by .* take NgramLinear\.v1"):
        nlp.update(examples, sgd=optimizer)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_is_between_none_and_all(share: float) -> None:
    with pytest.raises(BertZhError, match="network_share"):
        build_bert_text_cat_ensemble_v4(None, None, network_share=share)  # type: ignore[arg-type]
