"""What `score` writes: columns that go along, labels, and each kind of file."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Row
from spacy_bert_zh.score import score
from spacy_bert_zh.score.items import _columns, _writable
from spacy_bert_zh.score.layout import survey
from spacy_bert_zh.score.output import choose_format, write_output
from tests.conftest import example_of, initialized
from tests.score.test_score import read

ALL = Options("csv", keep=None)


TABLE = """id,label,review,note,rank
1,旧,好吃,=1+1,3
2,旧,"难吃, ""真""\r\n难吃",-5,4
3,旧,,＝a,5
4,旧,好吃,,
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_bytes(TABLE.encode())
    return path


def scored(pipeline: Path, source: Path, output: Path, **settings: Any) -> Any:
    reading = {"format": source.suffix[1:], "text_columns": ("review",), "unlabelled": True}
    keep = settings.pop("keep", None)
    return score(str(pipeline), source, output, Options(**reading, keep=keep), **settings)


def test_columns_and_texts_go_along(trained: Path, table: Path, tmp_path: Path) -> None:
    scored(trained, table, tmp_path / "all.jsonl", text=True)
    rows = read(tmp_path / "all.jsonl")
    assert rows[0]["columns"] == {"id": "1", "label": "旧", "note": "=1+1", "rank": "3"}
    assert [row["text"] for row in rows] == ["好吃", '难吃, "真"\r\n难吃', "", "好吃"]
    assert rows[2]["error"] == "empty" and rows[2]["columns"]["id"] == "3"
    scored(trained, table, tmp_path / "some.jsonl", keep=("id", "review"))
    rows = read(tmp_path / "some.jsonl")
    assert rows[0]["columns"] == {"id": "1", "review": "好吃"}
    assert "text" not in rows[0]
    with pytest.raises(BertZhError, match="no column 'no'"):
        scored(trained, table, tmp_path / "none.jsonl", keep=("no",))
    (tmp_path / "in.txt").write_text("好吃\n")
    with pytest.raises(BertZhError, match="--keep means nothing to the format text"):
        score(str(trained), tmp_path / "in.txt", tmp_path / "x", Options("text", keep=None))


def test_csv_is_for_spreadsheets(trained: Path, table: Path, tmp_path: Path) -> None:
    summary = scored(trained, table, tmp_path / "out.csv", text=True)
    assert (summary.rows, summary.errors, summary.first) == (4, 1, "in.csv, line 5: empty")
    assert any("'label' is 'input_label'" in note for note in summary.notes)
    data = (tmp_path / "out.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbffile,line,id,input_label,note,rank,text,label,score_neg,")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["note"] for row in rows] == ["'=1+1", "-5", "'＝a", ""]
    assert [row["label"] for row in rows] == ["pos", "neg", "", "pos"]
    assert rows[1]["text"] == '难吃, "真"\r\n难吃'
    assert (rows[2]["error"], rows[2]["score_pos"]) == ("empty", "")
    assert float(rows[0]["score_pos"]) > 0.5


def test_parquet_has_types(trained: Path, tmp_path: Path) -> None:
    from datetime import date

    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "review": ["好吃", "难吃", None],
        "n": [2**60, None, 3],
        "x": [0.5, float("nan"), 1.0],
        "ok": [True, False, None],
        "day": [date(2026, 1, 2), None, None],
        "tags": [["甲", "乙"], [], None],
        "score_pos": [1, 2, 3],
    }
    parquet.write_table(pa.table(columns), tmp_path / "in.parquet")
    some = scored(trained, tmp_path / "in.parquet", tmp_path / "some.csv", keep=("review", "n"))
    assert some.rows == 3 and not some.notes
    scored(trained, tmp_path / "in.parquet", tmp_path / "out.PARQUET")
    made = parquet.read_table(tmp_path / "out.PARQUET")
    rows = made.to_pylist()
    assert {name: str(made.schema.field(name).type) for name in ("line", "n", "x", "ok")} == {
        "line": "int64",
        "n": "int64",
        "x": "double",
        "ok": "bool",
    }
    assert [row["n"] for row in rows] == [2**60, None, 3]
    assert [row["x"] for row in rows] == [0.5, None, 1.0]
    assert [row["day"] for row in rows] == ["2026-01-02", None, None]
    assert [row["tags"] for row in rows] == ['["甲", "乙"]', "[]", None]
    assert [row["input_score_pos"] for row in rows] == [1, 2, 3]
    assert [row["label"] for row in rows] == ["pos", "neg", None]
    assert rows[2]["error"] == "no text in review"


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["label", "input_label", "file", "值"]),
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        ),
        min_size=1,
    )
)
def test_whatever_goes_along_arrives(tmp_path_factory: Any, kept: list[dict[str, Any]]) -> None:
    """In Parquet as it was, or as its JSON where a column's values have no type in common."""
    from pyarrow import parquet

    folder = tmp_path_factory.mktemp("kept")
    rows = [
        {"file": "in", "line": n, "columns": json.loads(_columns(Row(n, "", None, columns), ALL))}
        | ({"label": "a", "scores": {"a": 1.0}} if n % 2 else {"error": "no"})
        for n, columns in enumerate(kept)
    ]
    lines = [json.dumps(row).encode() for row in rows]
    summary = write_output("parquet", lambda: lines, folder / "out")
    assert (summary.rows, summary.errors) == (len(rows), (len(rows) + 1) // 2)
    made = parquet.read_table(folder / "out").to_pylist()
    names = {name for columns in kept for name in columns}
    renamed = dict.fromkeys(names) | {name: name for name in names - {"label", "file"}}
    renamed |= {n: f"input_{n}" for n in names & {"file", "label"}}
    if {"label", "input_label"} <= names:
        renamed["label"] = "input_input_label"
    for before, after in zip(rows, made, strict=True):
        for name, new in renamed.items():
            value, found = before["columns"].get(name), after[new]
            same = found == value or found == json.dumps(value, ensure_ascii=False)
            assert same, (value, found)


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_labels_hold_no_separator(labels: list[str]) -> None:
    row = {"labels": labels, "scores": dict.fromkeys(labels, 1.0), "file": "", "line": 1}
    layout = survey([row])
    assert layout.cells(row)[2].split(layout.separator) == labels


ODD = st.text(st.characters(exclude_categories=[]) | st.sampled_from("=+-@\r\n\t\",'＝\x00"))


@given(st.lists(ODD, min_size=1))
def test_any_text_survives_csv(tmp_path_factory: Any, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "out"
    rows = [{"file": "f", "line": 1, "text": _writable(text), "error": "no"} for text in texts]
    lines = [json.dumps(row).encode() for row in rows]
    write_output("csv", lambda: lines, path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)]
    for row, text in zip(rows, found, strict=True):
        assert text.removeprefix("'") == row["text"].removeprefix("'")
        assert text[:1] not in "=@\t\r\n＝＋－＠" or not text


def test_formats_are_named_or_seen() -> None:
    assert choose_format(None, Path("a.CSV")) == "csv"
    assert choose_format("Parquet", Path("a.csv")) == "parquet"
    for name, output in (("xlsx", "a"), (None, "a.xlsx"), (None, "a.csv.gz")):
        with pytest.raises(BertZhError, match="--output-format"):
            choose_format(name, Path(output))


# --- labels


@pytest.fixture
def multilabel(make_pipeline: Any, tmp_path: Path) -> Path:
    nlp = make_pipeline("bert_textcat_multilabel", {"threshold": 1.0})
    initialized(nlp, ["财经", "交易|降价"])
    nlp.to_disk(tmp_path / "multilabel")
    return tmp_path / "multilabel"


def test_several_labels_go_by_the_threshold(multilabel: Path, table: Path, tmp_path: Path) -> None:
    scored(multilabel, table, tmp_path / "none.jsonl")
    assert [row.get("labels") for row in read(tmp_path / "none.jsonl")] == [[], [], None, []]
    summary = scored(multilabel, table, tmp_path / "all.csv", threshold=0.0)
    assert summary.notes[-1] == "Several labels of a row are separated by ';'"
    with open(tmp_path / "all.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["labels"] for row in rows] == [*["财经;交易|降价"] * 2, "", "财经;交易|降价"]


def test_one_label_knows_no_threshold(trained: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match=r"--threshold.*: the labels of 'bert_textcat' exclude"):
        scored(trained, table, tmp_path / "out.jsonl", threshold=0.5)


def test_one_of_several_classifiers_is_asked(trained: Path, table: Path, tmp_path: Path) -> None:
    nlp = spacy.load(trained)
    other = nlp.add_pipe("textcat_multilabel", name="topics")
    other.add_label("甲")
    other.initialize(lambda: [example_of(nlp, {"甲": 1.0})], nlp=nlp)
    nlp.to_disk(tmp_path / "both")
    with pytest.raises(BertZhError, match="choose --component bert_textcat or topics"):
        scored(tmp_path / "both", table, tmp_path / "out.jsonl")
    scored(tmp_path / "both", table, tmp_path / "out.jsonl", component="topics", threshold=0.0)
    row = read(tmp_path / "out.jsonl")[0]
    assert row["labels"] == ["甲"] and row["scores"].keys() == {"甲"}


def test_scores_that_are_no_numbers_are_an_error(table: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    pipe = nlp.add_pipe("textcat_multilabel")
    pipe.add_label("甲")
    pipe.initialize(lambda: [example_of(nlp, {"甲": 1.0})], nlp=nlp)
    for node in pipe.model.walk():
        for name in node.param_names:
            if node.has_param(name):
                node.set_param(name, node.get_param(name) * float("nan"))
    nlp.to_disk(tmp_path / "spoilt")  # ours wouldn't load it
    with pytest.raises(BertZhError, match=r"All 4 rows have an error.*aren't numbers.*out.jsonl"):
        scored(tmp_path / "spoilt", table, tmp_path / "out.jsonl")
    assert len(read(tmp_path / "out.jsonl")) == 4


# --- standard input and output


@pytest.mark.parametrize("workers", [1, 2])
def test_standard_input_and_output(workers: int, trained: Path, table: Path) -> None:
    command = [sys.executable, "-m", "spacy_bert_zh", "score", str(trained), "-", "-"]
    words = ["--format", "csv", "--text-columns", "review", "--keep", "id", "--chunk-size", "1"]
    done = subprocess.run(
        [*command, *words, "--workers", str(workers)],
        input=TABLE.encode(),
        capture_output=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [row["columns"]["id"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["line"] for row in rows] == [2, 3, 5, 6] and rows[0]["file"] == "-"
    assert "1 of 4 rows have an error" in done.stderr.decode()
