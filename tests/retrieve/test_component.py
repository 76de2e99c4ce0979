"""`bert_retriever`: its loss, its learning, what it writes into documents, how it is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.training import Example

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.retrieve.contrast import cosent, infonce, supcon
from spacy_bert_zh.retrieve.pairs import build_pairs_v1
from spacy_bert_zh.train import train
from tests.conftest import REPOSITORY, TORCH
from tests.retrieve.tables import FAQ, write

PAIRS = [(row["question"], row["similar"][0]) for row in FAQ]


@pytest.fixture
def make(checkpoint: Path) -> Callable[..., Language]:
    def build(**settings: Any) -> Language:
        nlp = spacy.blank("zh")
        backbone = {"@architectures": TORCH, "name": str(checkpoint), "max_length": 64}
        nlp.add_pipe("bert_retriever", config={"model": backbone, **settings})
        return nlp

    return build


def examples(nlp: Language, tmp_path: Path, pairs: list[tuple[str, str]] = PAIRS) -> list[Example]:
    rows = [{"question": text, "answer": pair} for text, pair in pairs]
    return list(build_pairs_v1(write(tmp_path / "pairs.jsonl", rows))(nlp))


def test_the_loss_is_cross_entropy_in_both_directions() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 5)).astype(np.float32)
    texts, pairs = list("abcdea"), list("uvwxyz")
    loss, gradient = infonce(rows, texts, pairs, 0.2, np)

    vectors = torch.tensor(rows, requires_grad=True)
    units = torch.nn.functional.normalize(vectors)
    logits = units[:6] @ units[6:].T / 0.2
    hidden = torch.zeros(6, 6, dtype=torch.bool)
    hidden[0, 5] = hidden[5, 0] = True  # the same text twice
    logits = logits.masked_fill(hidden, -torch.inf)
    entropy, own = torch.nn.functional.cross_entropy, torch.arange(6)
    expected = (entropy(logits, own) + entropy(logits.T, own)) / 2
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, vectors.grad, atol=1e-6)


def test_the_loss_of_labels_is_that_of_khosla() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6, 5)).astype(np.float32)
    labels, texts = np.asarray([0, 0, 1, 0, 1, 2]), list("abcdef")
    loss, gradient = supcon(rows, texts, labels[:, None] == labels[None, :], 0.2, np)

    vectors = torch.tensor(rows, requires_grad=True)
    units = torch.nn.functional.normalize(vectors)
    terms = []
    for one in range(5):  # the last has none of its label
        others = [other for other in range(6) if other != one]
        logits = units[one] @ units[others].T / 0.2
        own = [n for n, other in enumerate(others) if labels[other] == labels[one]]
        terms.append(-torch.log_softmax(logits, 0)[own].mean())
    expected = torch.stack(terms).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, vectors.grad, atol=1e-6)


def test_what_can_not_be_told_apart_teaches_nothing() -> None:
    rows = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
    for alike in (np.ones((4, 4), bool), np.eye(4, dtype=bool)):
        loss, gradient = supcon(rows, ["同"] * 4, alike, 0.2, np)
        assert loss == 0.0 and not gradient.any()
    loss, gradient = cosent(rows, [0.5, 0.5], 0.2, np)
    assert loss == 0.0 and not gradient.any()


def test_the_loss_of_graded_pairs_is_that_of_cosent() -> None:
    rng = np.random.default_rng(2)
    rows, grades = rng.normal(size=(10, 5)).astype(np.float32), [3, 1, 2, 1, 0]
    loss, gradient = cosent(rows, grades, 0.1, np)

    vectors = torch.tensor(rows, requires_grad=True)
    units = torch.nn.functional.normalize(vectors)
    cosines = (units[:5] * units[5:]).sum(1)
    terms = [
        torch.exp((cosines[less] - cosines[more]) / 0.1)
        for more in range(5)
        for less in range(5)
        if grades[more] > grades[less]
    ]
    expected = torch.log(1 + torch.stack(terms).sum())
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    np.testing.assert_allclose(gradient, vectors.grad, atol=1e-5)


def test_labels_are_learnt(make: Callable[..., Language], corpus: Path) -> None:
    nlp = make(loss="supcon")
    given = list(build_pairs_v1(corpus / "train", limit=120)(nlp))
    optimizer = nlp.initialize(lambda: given)
    optimizer.learn_rate = 0.01
    before = nlp.evaluate(given)
    for _ in range(3):
        for start in range(0, len(given), 40):
            nlp.update(given[start : start + 40], sgd=optimizer)
    after = nlp.evaluate(given)
    assert after["pairs_mrr"] > before["pairs_mrr"]
    assert after["pairs_score"] == after["pairs_top1"] > 0.9


def test_grades_are_learnt(make: Callable[..., Language], tmp_path: Path) -> None:
    nlp = make(loss="cosent")
    rows = [{"question": text, "answer": pair, "grade": "0.9"} for text, pair in PAIRS]
    rows += [
        {"question": text, "answer": other, "grade": 0}
        for (text, _), (_, other) in zip(PAIRS, PAIRS[7:] + PAIRS[:7], strict=True)
    ]
    table = write(tmp_path / "graded.jsonl", rows)
    given = list(build_pairs_v1(table, grade="grade")(nlp))
    optimizer = nlp.initialize(lambda: given)
    optimizer.learn_rate = 0.01
    before = nlp.evaluate(given)["pairs_spearman"]
    for _ in range(6):
        nlp.update(given, sgd=optimizer)
    assert nlp.evaluate(given)["pairs_spearman"] > before + 0.1


def test_pairs_are_learnt(make: Callable[..., Language], tmp_path: Path) -> None:
    nlp = make()
    given = examples(nlp, tmp_path)
    optimizer = nlp.initialize(lambda: given)
    optimizer.learn_rate = 0.01
    before = nlp.evaluate(given)
    for _ in range(6):
        for start in range(0, len(given), 32):
            nlp.update(given[start : start + 32], sgd=optimizer)
    after = nlp.evaluate(given)
    assert after["pairs_top1"] > before["pairs_top1"] + 0.2
    assert after["pairs_mrr"] >= after["pairs_top1"]


def test_an_update_of_the_same_pair_alone_teaches_nothing(
    make: Callable[..., Language], tmp_path: Path
) -> None:
    nlp = make()
    given = examples(nlp, tmp_path, PAIRS[:1] * 4)
    nlp.initialize(lambda: given)
    assert nlp.update(given)["bert_retriever"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("as_vector", [False, True])
def test_vectors_of_documents(make: Callable[..., Language], as_vector: bool) -> None:
    nlp = make(as_vector=as_vector)
    nlp.get_pipe("bert_retriever").model.initialize()
    first, second, empty = nlp.pipe(["米饭好吃吗", "配送太慢", ""])
    assert np.linalg.norm(first._.bert_vector) == pytest.approx(1.0, abs=1e-5)
    assert empty._.bert_vector.shape == first._.bert_vector.shape
    assert first.has_vector is as_vector
    if as_vector:
        np.testing.assert_array_equal(first.vector, first._.bert_vector)
        cosine = float(first._.bert_vector @ second._.bert_vector)
        assert first.similarity(second) == pytest.approx(cosine, abs=1e-5)
        assert first.similarity(nlp("米饭好吃吗")) == pytest.approx(1.0, abs=1e-5)


def test_what_is_saved_says_the_same(make: Callable[..., Language], tmp_path: Path) -> None:
    nlp = make()
    nlp.get_pipe("bert_retriever").model.initialize()
    nlp.to_disk(tmp_path / "saved")
    loaded = load_pipeline(tmp_path / "saved")
    again = make().from_bytes(nlp.to_bytes())
    for other in (loaded, again):
        np.testing.assert_array_equal(other("牛肉面")._.bert_vector, nlp("牛肉面")._.bert_vector)


def test_what_is_damaged_is_refused(make: Callable[..., Language], tmp_path: Path) -> None:
    nlp = make()
    nlp.get_pipe("bert_retriever").model.initialize()
    nlp.to_disk(tmp_path / "saved")
    model = tmp_path / "saved" / "bert_retriever" / "model"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(BertZhError, match="model is cut off"):
        load_pipeline(tmp_path / "saved")
    pipe = nlp.get_pipe("bert_retriever")
    with pytest.raises(BertZhError, match=r"'bert_retriever' can't be read: .*cut off"):
        pipe.from_bytes(pipe.to_bytes()[:-100])


def test_what_can_not_be_learnt_from(make: Callable[..., Language], tmp_path: Path) -> None:
    nlp = make()
    alone = [Example(nlp.make_doc("好吃"), nlp.make_doc("好吃"))]
    with pytest.raises(BertZhError, match="'好吃' has no pair"):
        nlp.initialize(lambda: alone)
    with pytest.raises(BertZhError, match="temperature = 0"):
        make(temperature=0.0)
    with pytest.raises(BertZhError, match="loss = 'triplet' must be one of infonce, supcon"):
        make(loss="triplet")
    with pytest.raises(BertZhError, match="'好吃' has no label to learn from"):
        make(loss="supcon").initialize(lambda: alone)
    graded = make(loss="cosent")
    with pytest.raises(BertZhError, match="has no grade to learn from"):
        graded.initialize(lambda: examples(graded, tmp_path))
    with pytest.raises(BertZhError, match=r"pairs.jsonl:1: 'answer' holds '.*', and not a number"):
        list(build_pairs_v1(tmp_path / "pairs.jsonl", grade="answer")(nlp))
    with pytest.raises(BertZhError, match="No table of pairs"):
        build_pairs_v1(tmp_path / "nothing.csv")
    table = tmp_path / "table.csv"
    table.write_text("question,reply\n好吃吗,好吃\n", "utf-8")
    with pytest.raises(BertZhError, match="no column 'answer'"):
        list(build_pairs_v1(table)(nlp))


def test_a_row_may_hold_several_pairs(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("question,similar\n好吃吗,味道如何|好不好吃\n快吗,\n慢吗,要多久\n", "utf-8")
    nlp = spacy.blank("zh")
    found = list(build_pairs_v1(table, pair="similar")(nlp))
    assert [(one.predicted.text, one.reference.user_data["pair"]) for one in found] == [
        ("好吃吗", "味道如何"),
        ("好吃吗", "好不好吃"),
        ("慢吗", "要多久"),
    ]
    assert len(list(build_pairs_v1(table, pair="similar", limit=1)(nlp))) == 1


def test_the_config_trains(checkpoint: Path, tmp_path: Path) -> None:
    rows = [{"question": text, "answer": pair} for text, pair in PAIRS]
    overrides = {
        "paths.train": str(write(tmp_path / "train.jsonl", rows)),
        "paths.dev": str(write(tmp_path / "dev.jsonl", rows[::4])),
        "paths.weights": str(checkpoint),
        "components.bert_retriever.model.max_length": 64,
        "training.optimizer.learn_rate.total_steps": 30,
        "training.optimizer.learn_rate.initial_rate": 5e-3,
        "training.eval_frequency": 15,
        "training.batcher.size": 32,
    }
    best = train(REPOSITORY / "configs" / "pairs.cfg", tmp_path / "out", overrides=overrides)
    nlp = load_pipeline(best)
    assert nlp.meta["performance"]["pairs_top1"] > 0.5
    assert str(tmp_path) not in (best / "config.cfg").read_text("utf-8")
