"""JSON and CCNet: objects however they stand, malformed ones at their own cost."""

import gzip
import json
from pathlib import Path

import pytest

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.inputs import PIECE
from spacy_bert_zh.reading.jsonl import objects
from spacy_bert_zh.reading.rows import Reject
from spacy_bert_zh.reading.source import Source
from tests.reading.rows import read, rejected, rows, write

OBJECTS = [{"sentence": f"第{n}句 {{[", "label": n} for n in range(3)]
EXPECTED = [(f"第{n}句 {{[", (str(n),)) for n in range(3)]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(json.dumps(o, ensure_ascii=False) for o in OBJECTS),
        "".join(json.dumps(o) for o in OBJECTS),
        json.dumps(OBJECTS, ensure_ascii=False),
        json.dumps(OBJECTS, indent=4),
        "\ufeff" + json.dumps(OBJECTS) + "\r\n",
        "\n\n".join(json.dumps(o, indent=1) for o in OBJECTS),
    ],
    ids=["lines", "nothing between", "array", "indented array", "BOM", "indented objects"],
)
def test_json_objects_however_they_stand(tmp_path: Path, content: str) -> None:
    items = read(write(tmp_path / "corpus.json", content), "jsonl")
    assert [row[1:] for row in rows(items)] == EXPECTED
    assert not rejected(items)


def test_json_line_numbers_are_where_objects_start(tmp_path: Path) -> None:
    content = json.dumps(OBJECTS, indent=1)
    items = read(write(tmp_path / "corpus.json", content), "jsonl")
    starts = [n for n, line in enumerate(content.splitlines(), 1) if line == " {"]
    assert [row[0] for row in rows(items)] == starts


def test_malformed_json_costs_its_own_row_only(tmp_path: Path) -> None:
    bad = [
        '{"sentence": "断在中间',
        '{"sentence": "少了括号", "label": "a"',
        '{"sentence": "少了值", "label":',
        "{'sentence': '单引号'}",
        '"不是对象"',
        '{"sentence": "数太长", "label": ' + "9" * 5000 + "}",
        '{"a":' * 100_000,
        '{"sentence": ["不是文字"], "label": "a"}',
        '{"sentence": "没有标签"}',
    ]
    good = '{"sentence": "好%d", "label": "a"}'
    lines = [good % 0]
    for n, line in enumerate(bad, 1):
        lines += [line, good % n]
    items = read(write(tmp_path / "corpus.jsonl", "\n".join(lines)), "jsonl")
    assert [row[1] for row in rows(items)] == [f"好{n}" for n in range(len(bad) + 1)]
    assert [item.line for item in items if isinstance(item, Reject)] == list(range(2, 19, 2))


def test_however_many_malformed_lines_come_first(tmp_path: Path) -> None:
    content = "{坏}\n" * 250 + '{"text": "好", "label": 1}'
    items = read(write(tmp_path / "corpus.jsonl", content), "jsonl")
    assert len(rejected(items)) == 250
    assert rows(items) == [(251, "好", ("1",))]


def test_malformed_object_in_one_line_of_many(tmp_path: Path) -> None:
    content = '[{"text": "一", "label": 1}, {"text": 坏}, {"text": "二", "label": 1}]'
    items = read(write(tmp_path / "corpus.json", content), "jsonl")
    assert [row[1] for row in rows(items)] == ["一", "二"]
    assert rejected(items) == [(1, "malformed JSON")]


def test_an_array_in_one_long_line_is_read_in_pieces(tmp_path: Path) -> None:
    objects = [{"text": "长" * 5000 + str(n), "label": n % 2} for n in range(500)]
    source = write(tmp_path / "corpus.json", json.dumps(objects, ensure_ascii=False))
    assert source.stat().st_size > 5 * PIECE
    items = read(source, "jsonl")
    assert [row[1][5000:] for row in rows(items)] == [str(n) for n in range(500)]


def test_an_object_of_very_many_lines_takes_no_forever(tmp_path: Path) -> None:
    content = '{"data": [\n' + "1,\n" * 300_000 + '0]}\n{"text": "后", "label": 1}'
    source = write(tmp_path / "corpus.json", content)
    numbers = [item[0] for item in objects(Source(source, source)) if isinstance(item, tuple)]
    assert numbers == [1, 300_003]


def test_json_of_the_dataset_viewer(tmp_path: Path) -> None:
    rows_there = [{"row_idx": 0, "row": {"text": "一", "label": 1}, "truncated_cells": []}]
    whole = {"features": [{"name": "text"}], "rows": rows_there, "num_rows_total": 1}
    source = write(tmp_path / "a.json", json.dumps(whole))
    assert [row[1:] for row in rows(read(source, "json"))] == [("一", ("1",))]


def test_json_columns(tmp_path: Path) -> None:
    record = {"title": "题", "content": "文", "label": 3, "label_desc": "news", "tags": ["a", "b"]}
    source = write(tmp_path / "corpus.jsonl", json.dumps(record))
    assert rows(read(source, "jsonl")) == [(1, "文", ("news",))]
    chosen = read(source, "jsonl", text_columns=("title", "content"), label_column="tags")
    assert rows(chosen) == [(1, "题\n文", ("a", "b"))]
    with pytest.raises(
        BertZhError, match=r"no column 'labl': the columns of .* 'title', 'content'"
    ):
        read(source, "jsonl", label_column="labl")
    bare = write(tmp_path / "bare.jsonl", '{"text": "文"}')
    with pytest.raises(BertZhError, match=r"no label column: .* 'text'; .* --unlabelled"):
        read(bare, "jsonl")
    assert rows(read(bare, "jsonl", unlabelled=True)) == [(1, "文", None)]


def test_ccnet_keeps_a_language_and_buckets(tmp_path: Path) -> None:
    pages = [
        {"raw_content": "甲", "language": "zh", "bucket": "head"},
        {"raw_content": "乙", "language": "zh", "bucket": "tail"},
        {"raw_content": "c", "language": "en", "bucket": "head"},
        {"url": "x"},
    ]
    source = tmp_path / "zh_head.json.gz"
    source.write_bytes(gzip.compress("\n".join(map(json.dumps, pages)).encode()))
    items = read(source, "ccnet", buckets=("head", "middle"))
    assert rows(items) == [(1, "甲", None)]
    assert rejected(items) == [(2, "other bucket"), (3, "other language"), (4, "no text")]
