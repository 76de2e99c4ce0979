"""Labelling without a browser: what is asked, what is stored, what is refused, what comes out."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_bert_zh.convert import Options as ConvertOptions
from spacy_bert_zh.convert import convert
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.index.changing import read_entries
from spacy_bert_zh.label import Options, label
from spacy_bert_zh.label.desk import Desk, Refused, Taken
from spacy_bert_zh.label.pool import Item, Labels
from spacy_bert_zh.label.store import Answer, Store
from tests.conftest import make_rows, run_cli
from tests.label.labelling import LABELS, Annotator, end, labelling, read_rows, write_pool

TEXTS = [
    "亚冠抽签恒大遇强敌",
    "央行下调存款准备金率",
    "亚冠抽签恒大遇强敌",
    "高考分数线公布",
    "股市",
]
POOL = list(dict.fromkeys(TEXTS))
WORDS = ("--labels", ",".join(LABELS))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool.jsonl", TEXTS)


# --- the desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    items = [Item(text, "pool", line) for line, text in enumerate(POOL, 1)]
    return Desk(items, Labels(LABELS, True), Store(tmp_path / "answers.sqlite"))


def test_everybody_gets_the_pool_in_its_order(desk: Desk) -> None:
    assert desk.open("甲", "one", False).place == 0
    assert desk.answer("甲", "one", 0, ["体育"]).place == 1
    found = desk.answer("甲", "one", 1, None)
    assert (found.place, found.done, found.skipped, found.last) == (2, 2, 1, 1)
    assert desk.open("乙", "two", False).place == 0


def test_what_is_taken_back_is_asked_again(desk: Desk) -> None:
    for place in range(3):
        desk.answer("甲", "one", place, ["财经"])
    found, before = desk.undo("甲", "one", 2)
    assert before is not None and before.labels == ("财经",)
    assert (found.place, found.done, found.last) == (2, 2, 1)
    again, nothing = desk.undo("甲", "one", 2)  # as after a reply that was lost
    assert again == found and nothing is None
    assert desk.answer("甲", "one", 2, ["教育"]).place == 3
    assert desk.store.of("甲")[POOL[2]].labels == ("教育",)


def test_one_window_labels_under_a_name(desk: Desk) -> None:
    desk.open("甲", "one", False)
    with pytest.raises(Taken):
        desk.open("甲", "two", False)
    desk.open("甲", "one", False)  # a reload
    desk.open("甲", "two", True)
    for work in (
        lambda: desk.answer("甲", "one", 0, ["体育"]),
        lambda: desk.undo("甲", "one", 0),
    ):
        with pytest.raises(Taken):
            work()
    assert desk.answer("甲", "two", 0, ["体育"]).place == 1


def test_an_answer_counts_once(desk: Desk) -> None:
    first = desk.answer("甲", "one", 0, ["体育"])
    assert desk.answer("甲", "one", 0, ["体育"]) == first
    with pytest.raises(Refused, match="another answer"):
        desk.answer("甲", "one", 0, ["财经"])
    assert len(desk.store.all()) == 1


@pytest.mark.parametrize("labels", [["没有"], [], ["体育", "财经"]])
def test_what_is_no_answer_is_refused(desk: Desk, labels: list[str]) -> None:
    with pytest.raises(Refused):
        desk.answer("甲", "one", 0, labels)
    with pytest.raises(Refused, match="no text"):
        desk.answer("甲", "one", len(POOL), ["体育"])
    assert desk.store.all() == []


def test_a_store_is_what_it_was_when_it_is_opened_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "answers.sqlite")
    answers = [
        Answer('甲\'s "文\n本"', "甲", ("体育", "财经"), "2026-01-01T00:00:00+00:00"),
        Answer("b", "甲", (), "2026-01-01T00:00:01+00:00"),
        Answer("b", "乙", None, "2026-01-01T00:00:02+00:00"),
    ]
    for answer in answers:
        store.add(answer)
    store.remove("甲", "没有")
    assert Store(tmp_path / "answers.sqlite").all() == answers
    (tmp_path / "other").write_text("no database, but a text that is long enough to be read" * 9)
    with pytest.raises(BertZhError, match="no file of answers"):
        Store(tmp_path / "other")


# --- the command


def test_a_session_from_the_pool_to_the_corpus(pool: Path, tmp_path: Path) -> None:
    with labelling(pool, tmp_path / "out", *WORDS) as server:
        one, other = Annotator(server, "甲"), Annotator(server, "乙")
        opened = one.open()
        assert opened["labels"] == list(LABELS) and opened["exclusive"]
        assert opened["task"]["text"] == POOL[0] and opened["task"]["total"] == len(POOL)
        assert opened["task"]["guess"] is None
        one.answer(0, "体育")
        one.answer(1, "财经")
        assert one.skip(2)["place"] == 3
        other.open()
        other.answer(0, "体育")
        other.answer(1, "教育")
        found = one.ask("/agreement").json()
        kappa = pytest.approx(1 / 3)
        assert found["pairs"] == [{"names": ["甲", "乙"], "texts": 2, "same": 0.5, "kappa": kappa}]
        said = end(server)
    assert (
        "5 read" in said
        and "1 repeated, taken once" in said
        and "labels.jsonl (1 texts agreed on)" in said
    )
    assert "disagreed.jsonl (1 texts" in said
    (row,) = read_rows(tmp_path / "out" / "labels.jsonl")
    assert row["text"] == POOL[0] and row["label"] == "体育" and row["annotators"] == ["甲", "乙"]
    assert (row["file"], row["line"]) == ("pool.jsonl", 1)
    (row,) = read_rows(tmp_path / "out" / "disagreed.jsonl")
    assert row["answers"] == {"甲": "财经", "乙": "教育"}
    assert json.loads((tmp_path / "out" / "agreement.json").read_text("utf-8")) == found

    with labelling(pool, tmp_path / "out", *WORDS) as server:  # it goes on
        task = Annotator(server, "甲").open()["task"]
        assert (task["place"], task["done"], task["skipped"]) == (3, 3, 1)
        second = run_cli("label", pool, tmp_path / "out", *WORDS, check=False)
        assert second.returncode == 1 and "in use by label" in second.stderr
        assert second.stderr.count("\n") == 1


def test_without_the_key_or_from_elsewhere_nothing_is_told(pool: Path, tmp_path: Path) -> None:
    question = {"annotator": "甲", "session": "some window"}
    with labelling(pool, tmp_path / "out", *WORDS, key="秘密") as server:
        assert server.client.get("/").status_code == 200
        for path in ("/open", "/answer", "/undo", "/agreement", "/open/"):
            for method in ("GET", "POST", "PUT", "DELETE"):
                reply = server.client.request(method, path)
                assert reply.status_code in (401, 404, 405), (method, path)
                assert POOL[0] not in reply.text
        headers = {b"X-API-Key": "秘密".encode(), b"Host": b"label.example"}
        reply = server.client.post("/open", json=question, headers=headers)
        assert reply.status_code == 200 and reply.json()["task"]["text"] == POOL[0]
    with labelling(pool, tmp_path / "free", *WORDS) as server:
        for host in ("evil.example", "127.0.0.1.evil.example", ""):
            reply = server.client.post("/open", json=question, headers={"Host": host})
            assert reply.status_code == 400 and POOL[0] not in reply.text
        for host in ("localhost", "127.0.0.1:1", "[::1]:8000"):
            reply = server.client.post("/open", json=question, headers={"Host": host})
            assert reply.status_code == 200
        plain = {"Content-Type": "text/plain"}  # what another site's page may send unasked
        reply = server.client.post("/open", content=json.dumps(question), headers=plain)
        assert reply.status_code == 415
        for wrong in ({"annotator": " "}, {"annotator": "a\nb"}, {"session": "x"}, {"more": 1}):
            reply = server.client.post("/open", json={**question, **wrong})
            assert reply.status_code == 422


def test_a_pipeline_guesses_and_blind_hides_it(trained: Path, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", [text for text, _ in make_rows(6)])
    with labelling(pool, tmp_path / "out", "--pipeline", trained) as server:
        opened = Annotator(server, "甲").open()
        assert sorted(opened["labels"]) == ["neg", "pos"]
        task = opened["task"]
        best, second = task["scores"]
        assert task["guess"] == [best[0]] and best[1] >= second[1]
        assert best[1] + second[1] == pytest.approx(1, abs=1e-4)
    with labelling(pool, tmp_path / "blind", "--pipeline", trained, "--blind") as server:
        task = Annotator(server, "甲").open()["task"]
        assert task["guess"] is None and task["scores"] is None


# --- what comes out is read by others


def answered(pool: Path, output: Path, rows: list[tuple[str, Any]], **options: Any) -> Path:
    """Have answers taken in, and return the labels that come of them."""
    given = output.with_suffix(".answers.jsonl")
    lines = (json.dumps({"text": t, "label": v, "annotator": "甲"}) for t, v in rows)
    given.write_text("\n".join(lines), "utf-8")
    label(pool, output, Options(answers=given, **options))
    return output / "labels.jsonl"


def labels_of(corpus: Path) -> dict[str, set[str]]:
    """What an index would take in of a converted corpus, or of JSON lines."""
    return {one.text: set(one.labels) for one in read_entries(spacy.blank("zh"), corpus)}


def test_labels_are_a_corpus_an_index_and_fixes(pool: Path, tmp_path: Path) -> None:
    rows = [(POOL[0], "体育"), (POOL[1], "财经"), (POOL[2], "教育")]
    labels = answered(pool, tmp_path / "out", rows, labels=",".join(LABELS))
    expected = {text: {value} for text, value in rows}
    convert(labels, tmp_path / "corpus", ConvertOptions("jsonl", split=(1.0, 0.0, 0.0)))
    assert labels_of(tmp_path / "corpus" / "train") == expected
    assert labels_of(labels) == expected
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("text,label\n" + "".join(f"{text},财经\n" for text, _ in rows), "utf-8")
    options = ConvertOptions("csv", split=(1.0, 0.0, 0.0), fixes=labels)
    convert(wrong, tmp_path / "fixed", options)
    assert labels_of(tmp_path / "fixed" / "train") == expected


def test_several_labels_are_a_corpus_too(pool: Path, tmp_path: Path) -> None:
    rows = [(POOL[0], ["体育", "财经"]), (POOL[1], []), (POOL[2], ["教育"])]
    given = {"labels": ",".join(LABELS), "multilabel": True}
    labels = answered(pool, tmp_path / "out", rows, **given)
    options = ConvertOptions("jsonl", multilabel=True, split=(1.0, 0.0, 0.0))
    convert(labels, tmp_path / "corpus", options)
    assert labels_of(tmp_path / "corpus" / "train") == {text: set(v) for text, v in rows}


# --- bad input, one clear line each


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "No labels: give --labels"),
        ({"labels": "体育"}, "'体育' is the only label"),
        ({"labels": "体育,财经", "blind": True}, "no --pipeline"),
        ({"labels": "体育,财经", "export": "excel"}, "--export excel is unknown"),
    ],
)
def test_options_that_make_no_sense(
    options: dict[str, Any], message: str, pool: Path, tmp_path: Path
) -> None:
    with pytest.raises(BertZhError, match=message):
        label(pool, tmp_path / "out", Options(**options))
    assert not (tmp_path / "out").exists()


def test_a_pool_without_texts(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", ["", " "])
    with pytest.raises(BertZhError, match=r"has no text to label \(2 read"):
        label(pool, tmp_path / "out", Options(labels="a,b"))


def test_answers_that_don_t_fit(pool: Path, tmp_path: Path) -> None:
    names = {"labels": ",".join(LABELS)}
    with pytest.raises(BertZhError, match="line 2: there is no label '天气', but 体育"):
        answered(pool, tmp_path / "out", [(POOL[0], "体育"), (POOL[1], "天气")], **names)
    with pytest.raises(BertZhError, match="is about other texts: none of its 1"):
        answered(pool, tmp_path / "out", [("别的", "体育")], **names)
    assert read_rows(answered(pool, tmp_path / "out", [(POOL[0], "体育")], **names))
    other = write_pool(tmp_path / "other.jsonl", ["完全别的文本", "还有一条"])
    with pytest.raises(BertZhError, match="holds 1 answers, none of them to a text of this pool"):
        label(other, tmp_path / "out", Options(export="doccano", **names))
    with pytest.raises(BertZhError, match="an answer of 甲 that doesn't fit: there is no label"):
        label(pool, tmp_path / "out", Options(export="doccano", labels="天气,财经"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    with pytest.raises(BertZhError, match=r"holds notes\.txt"):
        label(pool, tmp_path / "foreign", Options(export="doccano", **names))
