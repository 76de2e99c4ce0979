"""An index of neighbours: evidence, votes, and decisions by them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import DocBin

from spacy_bert_zh.calibrate import calibrate
from spacy_bert_zh.evaluate import find_vectors
from spacy_bert_zh.explain import explain
from spacy_bert_zh.explain.page import Told, render_page
from spacy_bert_zh.export import export
from spacy_bert_zh.index import Options, index
from spacy_bert_zh.index.changing import read_entries
from spacy_bert_zh.serve.why import WhyQuestion, make_why
from spacy_bert_zh.textcat import Entry, Mixing, Neighbours
from spacy_bert_zh.trust import Aims
from tests.conftest import make_examples, pipe_of, run_cli
from tests.index.conftest import cats, write

LABELS = ("neg", "pos")


def test_evidence_changes_no_score(given_files: Path) -> None:
    facts = index(
        given_files / "pipeline", given_files / "out", Options(add=given_files / "train.spacy")
    )
    assert facts == {"texts": 63, "forgotten": 0, "twice": 1, "share": 1.0, "temperature": 0.05} | {
        "new_labels": []
    }
    before, after = (spacy.load(given_files / name) for name in ("pipeline", "out"))
    texts = [example.reference.text for example in make_examples(before, 20, seed=0)]
    np.testing.assert_array_equal(cats(after, texts), cats(before, texts))
    for doc in after.pipe(texts):
        near = doc._.bert_textcat[pipe_of(after).name]["neighbours"]
        assert near[0]["text"] == doc.text
        assert near[0]["similarity"] == pytest.approx(1.0, abs=2e-3)
        assert near[0]["similarity"] >= near[1]["similarity"] >= near[2]["similarity"]
        assert set(near[0]["labels"]) <= set(LABELS)
    assert after.meta["neighbours"]["texts"] == 63


def test_neighbours_get_the_weight_that_is_best_for_dev(given_files: Path) -> None:
    options = Options(add=given_files / "train.spacy", dev=given_files / "dev.spacy")
    facts = index(given_files / "pipeline", given_files / "out", options)
    assert facts["loss"][1] < facts["loss"][0]
    assert facts["share"] < 1
    nlp = spacy.load(given_files / "out")
    docs = [example.reference for example in make_examples(nlp, 64, seed=7)]
    scores = cats(nlp, [doc.text for doc in docs])
    gold = np.asarray([[doc.cats[label] for label in LABELS] for doc in docs]) > 0.5
    found = -np.log(np.clip(scores[gold], 1e-7, 1)).mean()
    if pipe_of(nlp).name == "bert_textcat":
        assert found == pytest.approx(facts["loss"][1], abs=1e-4)
        np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)
    again = spacy.load(given_files / "pipeline").from_bytes(nlp.to_bytes())
    np.testing.assert_array_equal(cats(again, ["好吃"]), cats(nlp, ["好吃"]))


def test_an_explanation_gives_its_evidence(given_files: Path) -> None:
    train, dev = given_files / "train.spacy", given_files / "dev.spacy"
    index(given_files / "pipeline", given_files / "out", Options(add=train, dev=dev))
    nlp = spacy.load(given_files / "out")
    known = pipe_of(nlp).neighbours
    (found,) = explain(nlp, [known.entries[3].text])
    assert len(found.evidence) == 5
    assert found.evidence[0].text == known.entries[3].text
    assert found.voters == pytest.approx(1 - known.mixing.share)
    page = render_page("p", [Told(found, None, None)])
    assert "Nearest texts of its index" in page
    assert "of the say in the scores" in page
    (plain,) = explain(spacy.load(given_files / "pipeline"), ["好吃"])
    assert (plain.evidence, plain.voters) == ((), 0.0)
    reply = json.loads(make_why(WhyQuestion(text="好吃"), "p", nlp))
    assert reply["explanation"]["evidence"] == []  # whoever may ask may not read what it learnt


def test_decisions_are_fitted_to_the_scores_with_neighbours(given_files: Path) -> None:
    train, dev = given_files / "train.spacy", write(given_files / "more.spacy", 400, seed=9)
    exclusive = (given_files / "pipeline" / "bert_textcat").exists()
    aims = Aims(coverage=0.9) if exclusive else Aims(right=0.5)
    calibrate(given_files / "pipeline", given_files / "calibrated", dev, aims)
    index(given_files / "calibrated", given_files / "out", Options(add=train, dev=dev))
    assert pipe_of(spacy.load(given_files / "out")).cfg["decision"] is None
    found = calibrate(given_files / "out", given_files / "again", dev, aims)
    assert "temperature" not in found
    assert "slopes" not in found
    nlp = spacy.load(given_files / "again")
    texts = [example.reference.text for example in make_examples(nlp, 20)]
    np.testing.assert_array_equal(cats(nlp, texts), cats(spacy.load(given_files / "out"), texts))
    key = "set" if exclusive else "decision"
    assert all(key in doc._.bert_textcat[pipe_of(nlp).name] for doc in nlp.pipe(texts))


@pytest.mark.parametrize(
    ("engine", "package", "extra"),
    [("onnx", "onnx", "onnx-export"), ("tensorflow", "tensorflow", "tensorflow")],
)
def test_other_engines_have_it(engine: Any, package: str, extra: str, given_files: Path) -> None:
    pytest.importorskip(package, reason=f"the extra [{extra}] is not installed")
    train, dev, new = (given_files / name for name in ("train.spacy", "dev.spacy", "new.jsonl"))
    rows = [{"text": text, "label": "字母"} for text in ("a b", "b a c", "c d")]
    new.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    index(given_files / "pipeline", given_files / "first", Options(add=train, dev=dev))
    index(given_files / "first", given_files / "out", Options(add=new))
    export(given_files / "out", given_files / "other", engine)
    ours, theirs = (spacy.load(given_files / name) for name in ("out", "other"))
    texts = [example.reference.text for example in make_examples(ours, 40, seed=4)] + ["a b c"]
    np.testing.assert_allclose(cats(theirs, texts), cats(ours, texts), atol=1e-5)
    assert len(pipe_of(theirs).neighbours) == 66 and "字母" in pipe_of(theirs).labels


def test_a_source_is_a_name_and_no_path(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    docs = []
    for file in ("/home/甲/reviews.csv", "C:\\Users\\reviews.csv", None):
        doc = nlp.make_doc("好吃")
        doc.user_data = {"file": file, "line": 12} if file else {}
        docs.append(doc)
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "a.spacy")
    found = [entry.source for entry in read_entries(nlp, tmp_path / "a.spacy")]
    assert found == ["reviews.csv:12", "reviews.csv:12", ""]


def test_the_command(given_files: Path) -> None:
    train, dev = given_files / "train.spacy", given_files / "dev.spacy"
    words = ["index", given_files / "pipeline", given_files / "out", "--add", train, "--dev", dev]
    done = run_cli(*words, "--most", "50")
    assert "the neighbours' share is 0." in done.stdout
    assert "(50 texts)" in done.stdout
    assert len(pipe_of(spacy.load(given_files / "out")).neighbours) == 50


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 9))
def test_the_nearest_are_those_of_a_plain_search(texts: int, queries: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(texts, 6)).astype("float32")
    rows = rows.astype("float16")
    entries = [Entry(text=str(n), labels=["a" if n % 3 else "b"]) for n in range(texts)]
    whiten = random.normal(size=(6, 6)).astype("float32")
    mean = random.normal(size=6).astype("float32")
    known = Neighbours(mean, whiten, rows, Mixing(learnt=["a", "b"], share=0.5), entries)
    asked = random.normal(size=(queries, 6)).astype("float32")
    places, cosines = known.find(asked)
    seen = (asked - mean) @ whiten
    wide = rows.astype("float32")
    expected = seen @ wide.T / np.linalg.norm(seen, axis=1, keepdims=True)
    expected /= np.linalg.norm(wide, axis=1)
    np.testing.assert_allclose(cosines, -np.sort(-expected, axis=1)[:, :32], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(expected, places, 1), cosines, atol=1e-5)
    votes = known.votes((places, cosines), ["a", "b", "c"])
    np.testing.assert_allclose(votes.sum(axis=1), 1.0, atol=1e-5)
    assert not votes[:, 2].any()
    own = np.full((queries, 3), 1 / 3, dtype="float32")
    mixed = known.mix(own, votes, None, ["a", "b", "c"], True)
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, atol=1e-5)


def test_vectors_are_those_of_the_pipeline(taught: Language) -> None:
    texts = ["好吃", "", "难吃" * 90]
    found = find_vectors(taught, pipe_of(taught), texts)
    backbone = pipe_of(taught).model.get_ref("backbone")
    expected = backbone.predict([taught.make_doc(text) for text in texts])
    np.testing.assert_allclose(found, expected, atol=1e-6)
