"""Audits of a corpus whose faults are known, decisions about them, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.audit import Options, audit
from spacy_bert_zh.audit.page import judge
from spacy_bert_zh.convert import convert, parse_options
from spacy_bert_zh.errors import BertZhError
from tests.conftest import make_rows

ATTACK = "<script>alert(1)</script>好"


def make(folder: Path, rows: list[tuple[str, str]], **options: Any) -> Path:
    lines = (json.dumps({"text": t, "label": y}, ensure_ascii=False) for t, y in rows)
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    given = parse_options(format="jsonl", split="1,0,0", **options)
    convert(folder / "rows.jsonl", folder / "corpus", given)
    return folder / "corpus" / "train"


def rows() -> list[tuple[str, str]]:
    return list(dict(make_rows(400)).items())


def spoilt() -> tuple[list[tuple[str, str]], set[str]]:
    given = rows()
    wrong = {given[i][0] for i in range(3, len(given), 17)}
    other = {"pos": "neg", "neg": "pos"}
    return [(t, other[y] if t in wrong else y) for t, y in given], wrong


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_it_finds_wrong_rows_with_place_and_better_label(tmp_path: Path) -> None:
    given, wrong = spoilt()
    corpus = make(tmp_path, [*given, (ATTACK, "pos")])
    found = audit(corpus, tmp_path / "out")
    first = read(tmp_path / "out" / "audit.jsonl")[: len(wrong)]
    assert len({row["text"] for row in first} & wrong) >= 0.9 * len(wrong)
    row = next(row for row in first if row["text"] in wrong)
    assert given[row["line"] - 1][0] == row["text"] and row["label"] == dict(rows())[row["text"]]
    assert found["estimated_wrong"] == pytest.approx(len(wrong), rel=0.5)
    page = (tmp_path / "out" / "audit.html").read_text("utf-8")
    assert 0.8 < found["agreed"] < 1 and judge(found) in page and "too weak" not in page
    assert "too weak a judge" in judge({**found, "agreed": 0.4})
    assert "Rows that are likely wrong" in page and "<script>" not in page


def test_the_map_tells_wrong_rows_from_others(tmp_path: Path) -> None:
    given, wrong = spoilt()
    found = audit(make(tmp_path, [*given, (ATTACK, "pos")]), tmp_path / "out")
    learnt = read(tmp_path / "out" / "map.jsonl")
    assert sorted(row["line"] for row in learnt) == list(range(1, len(given) + 2))
    assert all(0 <= row["confidence"] <= 1 and 0 <= row["variability"] <= 0.5 for row in learnt)
    hardest = sorted(learnt, key=lambda row: row["confidence"])[: len(wrong)]
    assert len({row["text"] for row in hardest} & wrong) >= 0.8 * len(wrong)
    listed = found["learning"]
    assert listed["hard"][0] == hardest[0]
    spread = [row["variability"] for row in listed["ambiguous"]]
    assert spread == sorted(spread, reverse=True)
    page = (tmp_path / "out" / "audit.html").read_text("utf-8")
    assert "<svg" in page and "Ambiguous rows" in page


def test_vectors_have_a_say(tmp_path: Path) -> None:
    given, wrong = spoilt()
    corpus = make(tmp_path, given[:150])
    plain, both = (
        audit(corpus, tmp_path / name, Options(vectors=vectors))
        for name, vectors in (("plain", False), ("both", True))
    )
    assert both["vectors"] and not plain["vectors"]
    sure = [
        [row["sure"] for row in read(tmp_path / name / "audit.jsonl")] for name in ("plain", "both")
    ]
    assert sure[0] != sure[1]
    few = wrong & {text for text, _ in given[:150]}
    first = read(tmp_path / "both" / "audit.jsonl")[: len(few)]
    assert len({row["text"] for row in first} & few) >= 0.8 * len(few)
    assert "a BERT's vectors" in (tmp_path / "both" / "audit.html").read_text("utf-8")
    with pytest.raises(BertZhError, match="--vectors goes with n-grams"):
        Options(vectors=True, model=tmp_path)


def test_decisions_change_the_corpus_and_are_not_asked_again(tmp_path: Path) -> None:
    given, _ = spoilt()
    audit(make(tmp_path, given), tmp_path / "out")
    lines = read(tmp_path / "out" / "audit.jsonl")
    for line, action in zip(lines, ("drop", "keep", *["relabel"] * len(lines)), strict=False):
        line["action"] = action
    fixes = tmp_path / "fixes.jsonl"
    fixes.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    corpus = make(tmp_path, given, fixes=fixes)
    report = json.loads((tmp_path / "corpus" / "report.json").read_text("utf-8"))
    done = {"relabelled": len(lines) - 2, "dropped": 1, "kept": 1}
    assert report["fixes"]["rows"] == done and report["rejected"] == {"dropped by --fixes": 1}
    changed = report["fixes"]["relabelled"][0]
    assert given[changed["line"] - 1][0].startswith(changed["text"])
    audit(corpus, tmp_path / "again", Options(fixes=fixes))
    again = {row["text"] for row in read(tmp_path / "again" / "audit.jsonl")}
    learning = json.loads((tmp_path / "again" / "audit.json").read_text("utf-8"))["learning"]
    again |= {row["text"] for row in learning["hard"] + learning["ambiguous"]}
    assert not again & {line["text"] for line in lines}


def test_twins_leaks_and_accidents(tmp_path: Path) -> None:
    twins = [
        ("北京今天的天气非常好适合出去玩", "pos"),
        ("北京今天的天气非常好适合出去玩！啊", "neg"),
    ]
    corpus = make(tmp_path, [*rows(), *twins, ("这是表格里的一个意外", "2.5")])
    (tmp_path / "dev").mkdir()
    dev = make(tmp_path / "dev", [("北京今天的天气非常好适合出去玩吧", "pos"), ("不", "neg")])
    found = audit(corpus, tmp_path / "out", Options(dev=dev))
    assert any(
        {p["a"]["text"], p["b"]["text"]} == {t for t, _ in twins} for p in found["contradictory"]
    )
    assert {leak["text"] for leak in found["leaks"]} >= {twins[0][0]}
    assert found["few"] == [{"label": "2.5", "rows": 1, "accident": True}]


def test_several_labels(tmp_path: Path) -> None:
    given = [(t, [y, "长"] if len(t) > 8 else [y]) for t, y in rows()]
    corpus = make(tmp_path, given)  # type: ignore[arg-type]
    found = audit(corpus, tmp_path / "out")
    assert not found["corpus"]["exclusive"]
    assert all(isinstance(r["given"], list) for r in read(tmp_path / "out" / "map.jsonl"))
    assert all(isinstance(r["label"], list) for r in read(tmp_path / "out" / "audit.jsonl"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"text": "别的", "action": "drop"}], "other texts"),
        ([{"text": "甲", "action": "drop"}, {"text": "甲", "action": "keep"}], "lines 1 and 2"),
        ([{"text": "甲", "action": "drop", "colour": 1}], "colour"),
        ([{"text": "甲", "action": "relabel"}], "needs a label"),
    ],
)
def test_bad_fixes(lines: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    path = tmp_path / "fixes.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    with pytest.raises(BertZhError, match=said):
        make(tmp_path, rows(), fixes=path)
    assert not (tmp_path / "corpus").exists()


def test_bad_corpora_and_outputs(tmp_path: Path) -> None:
    single = make(tmp_path, [("甲", "a"), ("乙", "b")])
    with pytest.raises(BertZhError, match="fewer folds"):
        audit(single, tmp_path / "out")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "train.jsonl").write_text('{"text": "甲"}', "utf-8")
    with pytest.raises(BertZhError, match="no labels"):
        audit(tmp_path / "raw", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    with pytest.raises(BertZhError, match=r"note\.txt"):
        audit(single, tmp_path / "mine")
    with pytest.raises(BertZhError, match="--folds"):
        Options(folds=1)
