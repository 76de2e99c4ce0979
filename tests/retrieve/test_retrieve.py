"""Folders that can be searched: what is found, how good that is, what is refused."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import find_vectors
from spacy_bert_zh.retrieve import Options, Retriever, build, evaluate_retriever
from spacy_bert_zh.retrieve.folder import find_encoder
from spacy_bert_zh.retrieve.measures import first_places, measure_one
from spacy_bert_zh.retrieve.ranking import Ranked, fuse
from spacy_bert_zh.retrieve.refusal import fit_refusal
from tests.conftest import initialized, run_cli
from tests.retrieve.tables import FAQ, write

COLUMNS = Options("question", "answer", "similar")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "faq.jsonl", FAQ)


@pytest.fixture(scope="module")
def by_words(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "faq"
    build(table, folder, COLUMNS)
    return folder


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Language], tmp_path: Path) -> Path:
    nlp = make_pipeline(pooling="mean")
    initialized(nlp)
    nlp.to_disk(tmp_path / "pipeline")
    return tmp_path / "pipeline"


@pytest.fixture
def both(table: Path, pipeline: Path, tmp_path: Path) -> Path:
    build(table, tmp_path / "both", COLUMNS, pipeline=pipeline)
    return tmp_path / "both"


# --- what is found


def test_words_find_questions_and_their_other_wordings(by_words: Path) -> None:
    retriever = Retriever.load(by_words)
    assert retriever.modes == ("words",)
    for row in FAQ[::7]:
        for text in (row["question"], row["similar"][0]):
            found = retriever.search(text, top=3)
            assert found.hits[0].entry.answer == row["answer"]
            assert found.confidence is found.known is None
            assert [hit.score for hit in found.hits] == sorted(
                (hit.score for hit in found.hits), reverse=True
            )
    assert retriever.search("？！").hits == []
    assert retriever.search("qwerty").hits == []


def test_vectors_find_what_is_nearest(both: Path) -> None:
    retriever = Retriever.load(both)
    question = "牛肉面是不是新鲜"
    found = retriever.search(question, top=100, by="vectors").hits
    nlp, pipe = retriever.encoder.nlp, retriever.encoder.pipe
    texts = [text for entry in retriever.entries for text in entry.texts]
    rows = retriever.space.project(find_vectors(nlp, pipe, [question, *texts]))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (rows[1:] @ rows[0]).reshape(-1, 2).max(axis=1)
    order = np.argsort(-cosines)[:100]
    assert [hit.entry.answer for hit in found[:5]] == [f"答{place}" for place in order[:5]]
    np.testing.assert_allclose([hit.cosine for hit in found], cosines[order], atol=2e-3)
    same = retriever.search(FAQ[3]["similar"][0], by="vectors").hits[0]
    assert same.entry.answer == "答3" and same.cosine == pytest.approx(1.0, abs=2e-3)


def test_both_are_fused(both: Path) -> None:
    retriever = Retriever.load(both)
    assert retriever.search("米饭难吃吗").hits == retriever.search("米饭难吃吗", by="both").hits
    ranked = {by: retriever.rank(["米饭难吃"], by)[0] for by in retriever.modes}
    assert ranked["both"].hits == fuse([ranked["words"].hits, ranked["vectors"].hits])[:100]
    (first,) = retriever.search("米饭难吃吗", top=1).hits
    assert first.entry.text == "米饭难吃吗"
    assert first.words is not None and first.cosine is not None


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), min_size=1, max_size=3))
def test_fusion_adds_up_reciprocal_ranks(lists: list[list[int]]) -> None:
    found = fuse([[(entry, 0.5) for entry in one] for one in lists])
    for entry, score in found:
        places = [one.index(entry) + 1 for one in lists if entry in one]
        assert score == pytest.approx(sum(1 / (60 + place) for place in places))
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
    assert {entry for entry, _ in found} == {entry for one in lists for entry in one}


# --- how good that is


@given(st.permutations(range(12)), st.sets(st.integers(0, 11), min_size=1))
def test_measures_are_those_of_the_field(ranked: list[int], wanted: set[int]) -> None:
    first, *_, reciprocal, gain = measure_one(ranked, wanted)
    truth = [[float(one in wanted) for one in range(12)]]
    scores = [[-float(ranked.index(one)) for one in range(12)]]
    assert gain == pytest.approx(ndcg_score(truth, scores, k=10))
    assert reciprocal == 1 / (1 + min(ranked.index(one) for one in wanted))
    assert first == (ranked[0] in wanted) / len(wanted)


def test_places_count_from_one() -> None:
    places = first_places(np.asarray([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]]), np.asarray([1, 0]))
    assert places.tolist() == [1, 3]


def questions(folder: Path) -> Path:
    rows = [{"question": f"{row['question']}呢", "expected": row["answer"]} for row in FAQ]
    rows += [{"question": f"第{number}个天气预报", "expected": ""} for number in range(60)]
    return write(folder / "questions.jsonl", rows)


def test_evaluation_compares_both_with_words(both: Path, tmp_path: Path) -> None:
    found = evaluate_retriever(
        both, questions(tmp_path), tmp_path / "found.json", text_column="question"
    )
    assert json.loads((tmp_path / "found.json").read_text("utf-8")) == found
    assert (found["entries"], found["questions"], found["with_answer"]) == (128, 188, 128)
    assert list(found["by"]) == ["words", "vectors", "both"]
    words = found["by"]["words"]["recall@1"]
    low, high = words["interval"]
    assert low <= words["value"] <= high and "p" not in found["by"]["words"]
    assert words["value"] > 0.9
    assert 0 <= found["by"]["both"]["p"] <= 1


# --- none of these


def test_an_answer_is_given_where_it_is_right_often_enough(table: Path, tmp_path: Path) -> None:
    given = questions(tmp_path)
    options = Options("question", "answer", "similar", questions=given, right=0.8)
    facts = build(table, tmp_path / "faq", options)
    retriever = Retriever.load(tmp_path / "faq")
    assert retriever.refusal.score == facts["score"]
    said = json.loads(json.dumps(retriever.search("外卖太慢吗", top=1).as_dict()))
    assert said["known"] is True and said["hits"][0]["text"] == "外卖太慢吗"
    assert 0.5 < facts["answered"] < 0.9
    known = retriever.search("外卖太慢吗呢")
    assert known.known and known.confidence >= facts["score"]
    unknown = retriever.search("天气预报")
    assert unknown.known is False and unknown.confidence < facts["score"]
    found = evaluate_retriever(
        tmp_path / "faq", given, tmp_path / "found.json", text_column="question"
    )
    assert found["refusal"]["right"] >= 0.8
    assert found["refusal"]["refused_without_answer"] > 0.9


def test_a_refusal_keeps_its_promise_on_other_questions() -> None:
    """Of questions whose first hit's score tells how likely it is right."""
    rng = np.random.default_rng(0)
    chances = rng.random(4000)
    right = rng.random(4000) < chances
    ranked = [Ranked([(0, 1.0)], {}, {0: float(chance)}) for chance in chances]
    refusal = fit_refusal(ranked[:2000], right[:2000], "both", 0.8)
    given = np.asarray([refusal.confidence(one) >= refusal.score for one in ranked[2000:]])
    assert right[2000:][given].mean() > 0.77
    assert 0.2 < given.mean() < 0.5
    assert refusal.confidence(Ranked([], {}, {})) == 0.0


def test_too_few_questions_promise_nothing(table: Path, tmp_path: Path) -> None:
    rows = [{"question": row["question"], "expected": row["answer"]} for row in FAQ[:20]]
    few = write(tmp_path / "few.jsonl", rows)
    with pytest.raises(BertZhError, match="answered rightly, and others that aren't"):
        build(table, tmp_path / "faq", Options("question", "answer", "similar", few))
    few = write(tmp_path / "few.jsonl", [*rows, *({**row, "expected": ""} for row in rows)])
    with pytest.raises(BertZhError, match=r"--right 0\.9: "):
        build(table, tmp_path / "faq", Options("question", "answer", "similar", few))
    assert not (tmp_path / "faq").exists()


# --- what is refused


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("question,answer\n", COLUMNS, "no column 'similar'|holds no text"),
        ("question,answer\n,,\n", Options("question"), "holds no text to search"),
        ("question,reply\n好吃吗,好吃\n", Options("question", "answer"), "no column 'answer'"),
        ("frage,reply\n好吃吗,好吃\n", Options(), "no text column"),
        ("question\n？？\n", Options("question"), "None of the texts has a word"),
    ],
)
def test_tables_that_can_not_be_searched(
    content: str, options: Options, message: str, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(content, "utf-8")
    with pytest.raises(BertZhError, match=message):
        build(table, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_a_row_is_taken_once(tmp_path: Path) -> None:
    rows = [{"question": "好吃吗", "answer": "好吃"}] * 3 + [{"question": "好吃吗", "answer": "嗯"}]
    table = write(tmp_path / "faq.jsonl", rows)
    facts = build(table, tmp_path / "faq", Options("question", "answer"))
    assert facts == {"empty": 0, "twice": 2, "entries": 2, "texts": 2}


def test_questions_that_nobody_can_answer(by_words: Path) -> None:
    retriever = Retriever.load(by_words)
    for text, options, message in (
        (" \n", {}, "question is empty"),
        ("长" * 10_001, {}, "10,001 characters"),
        ("好吃", {"by": "vectors"}, "knows words alone"),
        ("好吃", {"by": "taste"}, "--by taste is unknown"),
        ("好吃", {"top": 0}, "--top 0"),
    ):
        with pytest.raises(BertZhError, match=message):
            retriever.search(text, **options)


def test_what_is_expected_must_be_there(by_words: Path, tmp_path: Path) -> None:
    for rows, message in (
        ([{"text": "好吃吗", "expected": "没有"}], "q.jsonl:1 expects '没有'"),
        ([{"text": "好吃吗", "expected": ""}], "None of the questions has an answer"),
        ([{"text": "", "expected": ""}], "q.jsonl:1: The question is empty"),
    ):
        path = write(tmp_path / "q.jsonl", rows)
        with pytest.raises(BertZhError, match=message):
            evaluate_retriever(by_words, path, tmp_path / "out.json")


def test_vectors_of_another_encoder(
    both: Path, make_pipeline: Callable[..., Language], tmp_path: Path
) -> None:
    other = make_pipeline(pooling="mean")
    pipe = initialized(other)
    shim = pipe.model.get_ref("backbone").shims[0]
    for parameter in shim.network.bert.parameters():
        parameter.data = parameter.data.flip(0)
    other.to_disk(tmp_path / "other")
    shutil.rmtree(both / "pipeline")
    shutil.copytree(tmp_path / "other", both / "pipeline")
    with pytest.raises(BertZhError, match="vectors of another encoder"):
        Retriever.load(both)


def test_a_pipeline_must_make_vectors(table: Path, tmp_path: Path) -> None:
    import spacy

    with pytest.raises(BertZhError, match=r"no component with a BERT.*: none"):
        find_encoder(spacy.blank("zh"), None)
    with pytest.raises(BertZhError, match="Can't load the pipeline"):
        build(table, tmp_path / "out", COLUMNS, pipeline=tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("entries.jsonl", b'{"text": "x"}\n', "is damaged: 1 entries, expected 128"),
        ("entries.jsonl", b"", "holds nothing to search: build the folder again"),
        ("retriever.json", b'{"entries": "many"}', "entries"),
        ("words/vocab.index.json", b'{"a": 999999}', "points to words that aren't there"),
        ("words/indices.csc.index.npy", b"\x93NUMPY", "words is damaged"),
    ],
)
def test_damaged_folders(
    by_words: Path, name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "faq"
    shutil.copytree(by_words, folder)
    (folder / name).write_bytes(content)
    with pytest.raises(BertZhError, match=message):
        Retriever.load(folder)


def test_the_library_must_be_there(
    by_words: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(BertZhError, match=r"'bm25s'.*spacy-bert-zh\[retrieve\]"):
        Retriever.load(by_words)


# --- the command line


def test_the_commands(table: Path, tmp_path: Path) -> None:
    def run(*args: Any, check: bool = True) -> Any:
        return run_cli("retrieve", *args, check=check, cwd=tmp_path)

    columns = ("--text-column", "question", "--answer-column", "answer")
    assert "✔ faq (128 entries, 128 texts)" in run("build", table, "faq", *columns).stdout
    said = run("ask", "faq", "奶茶推荐吗", "？", "--top", "1").stdout
    assert "1. " in said and "奶茶推荐吗 → 答" in said and "nothing found" in said
    refused = run("ask", tmp_path, "好", check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1 and "nothing to search" in refused.stderr
    asked = write(tmp_path / "q.jsonl", [{"text": "奶茶推荐吗", "expected": "奶茶推荐吗"}])
    shown = run("evaluate", "faq", asked, "found.json").stdout
    assert "| words | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 |" in shown
