"""Labels: named, in columns of 0 and 1, several to a text, and warned of."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.convert import parse_options, summarize
from spacy_bert_zh.convert.naming import alike
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.columns import EMPTY_FLAG
from spacy_bert_zh.reading.label_values import TWIN
from tests.convert.corpora import converted, corpus, rejected, table

# names


@pytest.mark.parametrize("names", ["0", "0=", "=好", "0=a,0=b", "0=负面，1=正面", "0=a,1"])
def test_bad_names(names: str) -> None:
    with pytest.raises(BertZhError, match=r"--label-names: .*give pairs between commas"):
        parse_options(format="csv", label_names=names)


def test_names_that_no_row_has_and_labels_without_a_name(tmp_path: Path) -> None:
    report = converted(table(tmp_path, ["0", "1"] * 4), "csv", label_names="0=负面,2=中性")
    assert "--label-names: no row has the label '2'" in report["notes"]
    assert "--label-names gives no name to '1'" in report["notes"]


def test_names_of_whole_floats(tmp_path: Path) -> None:
    report = converted(table(tmp_path, ["0.0", "1.0"] * 4), "csv", label_names="0=负面,1=正面")
    assert report["labels"] == ["正面", "负面"]
    assert not any("gives no name" in note for note in report["notes"])


@pytest.mark.parametrize("vectors", [([0, 1], [1, 0]), ("[0.0, 1.0]", "[1. 0.]")])
def test_vectors_of_two_labels_name_none(tmp_path: Path, vectors: tuple[Any, Any]) -> None:
    source = corpus(tmp_path, [(f"第{i}条", vectors[i % 2]) for i in range(8)])
    with pytest.raises(BertZhError, match=r"8 rows have both: vectors of 0 and 1"):
        converted(source, "jsonl")
    assert converted(source, "jsonl", label_names="0=口味,1=服务")["labels"] == ["口味", "服务"]


# a column of 0 and 1 for each label


def test_label_columns(tmp_path: Path) -> None:
    source = tmp_path / "onehot.csv"
    rows = ["一,1,0.0", "二,True,1", "三,0,0", "四,,1", "五,,0"]
    source.write_text("\n".join(["text,类_好,类_坏", *rows]), "utf-8")
    for columns in ("类_好,类_坏", "类_*"):
        report = converted(source, "csv", label_columns=columns, split="1,0,0")
        assert report["labels"] == ["类_坏", "类_好"] and report["multilabel"]
        assert report["rows"]["written"] == 4
        assert rejected(source) == ["no label in 类_好, 类_坏 but nothing for '类_好'"]
    source.write_text("text,好\n一,1\n二,2\n", "utf-8")
    with pytest.raises(BertZhError, match=r"onehot.csv:3: the column '好' has '2': .* hold 0 or 1"):
        converted(source, "csv", label_columns="好")
    with pytest.raises(BertZhError, match="no column '坏'"):
        converted(source, "csv", label_columns="坏")


# warnings and the console


@pytest.mark.parametrize(
    ("yes", "no", "nothing"), [("1", "", ""), ("√", "", "否"), ("Y", "N", ""), ("是", "否", "否")]
)
def test_label_columns_as_people_fill_them(tmp_path: Path, yes: str, no: str, nothing: str) -> None:
    lines = [f"一,{yes},{no}", f"二,{no},{yes}", f"三,{yes},{nothing}", "四,,"]
    source = tmp_path / "a.csv"
    source.write_text("\n".join(["text,好,坏", *lines]), "utf-8")
    report = converted(source, "csv", label_columns="好,坏", split="1,0,0")
    assert report["splits"]["train"]["labels"] == {"坏": 1, "好": 2}
    assert rejected(source) == ["no label in 好, 坏 but nothing for '好'"]
    empty = 2 * (not no) + (not nothing)
    assert report["remarks"] == ({EMPTY_FLAG: empty} if empty else {})


@pytest.mark.parametrize(
    ("separator", "twin"), [(",", "，"), (",", "、"), (";", "；"), ("|", "｜")]
)
@pytest.mark.parametrize("format", ["jsonl", "thucnews"])
def test_separators_of_another_width(
    tmp_path: Path, separator: str, twin: str, format: str
) -> None:
    labels = [f"口味{separator}服务", f"口味{twin} 价格", "服务", "价格"]
    source = corpus(tmp_path, [(f"第{n}条", label) for n, label in enumerate(labels)])
    if format == "thucnews":
        source.write_text("".join(f"第{n}条\t{x}\n" for n, x in enumerate(labels)), "utf-8")
    report = converted(source, format, label_separator=separator, split="1,0,0")
    assert report["labels"] == sorted(["口味", "服务", "价格"])
    assert report["remarks"] == {TWIN: 1}


@pytest.mark.parametrize("separator", [",", "，", "、", ";", "|", " "])
def test_multilabel_without_a_separator_is_told(tmp_path: Path, separator: str) -> None:
    source = corpus(tmp_path, [("一", f"口味{separator}服务"), ("二", f"价格{separator}服务")])
    report = converted(source, "jsonl", multilabel=True, split="1,0,0")
    assert any(f"--label-separator '{separator}' splits them" in x for x in report["notes"])


def test_a_label_for_each_row_is_no_class(tmp_path: Path) -> None:
    source = table(tmp_path, [f"id{n}" for n in range(60)])
    with pytest.raises(BertZhError, match=r"60 different labels in 60 rows.*--label-column"):
        converted(source, "csv")
    chosen = converted(source, "csv", label_column="label", split="1,0,0")
    assert len(chosen["labels"]) == 60


def test_a_table_without_a_header_is_told_what_to_do(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("不错,好\n差,坏\n", "utf-8")
    with pytest.raises(BertZhError, match=r"no header, write one above it, such as text and"):
        converted(source, "csv")
    source.write_text("不错\t好\n差\t坏\n", "utf-8")
    with pytest.raises(BertZhError, match="or give --format thucnews, which needs none"):
        converted(source, "tsv")


def test_a_label_with_another_one_in_it_is_warned_of(tmp_path: Path) -> None:
    source = corpus(tmp_path, [("一", "口味，价格"), ("二", "口味"), ("三", "服务")])
    report = converted(source, "jsonl", split="1,0,0")
    assert "'口味，价格' may be several labels" in "\n".join(report["warnings"])


def test_odd_labels_are_warned_of(tmp_path: Path) -> None:
    labels = ["Pos", "pos", "neg", "体育", "财经", "体育;财经"] * 3 + ["单"]
    report = converted(table(tmp_path, labels), "csv", split="0.7,0.3,0")
    warned = "\n".join(report["warnings"])
    assert "fewer than 10 rows in train: 'Pos (2)'" in warned
    assert "dev has no row of, so they can't be measured: '单'" in warned
    assert "may be the same: 'Pos', 'pos'" in warned
    assert "'体育;财经' may be several labels: --label-separator ';'" in warned
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert all(warning in text for warning in report["warnings"])


def test_alike() -> None:
    assert alike(["A", "Ａ", "a ", "b", "乙"]) == [["A", "a ", "Ａ"]]
    assert alike(["1", "01", "1.0", "true", "2"]) == [["01", "1", "1.0", "true"]]
    assert alike(["体育", "体 育", "财经"]) == [["体 育", "体育"]]


def test_console_lists_labels_with_counts(tmp_path: Path) -> None:
    source = table(tmp_path, ["好", "好", "坏"] * 20)
    command = ["convert", str(source), str(tmp_path / "out"), "-f", "csv"]
    output = CliRunner().invoke(app, [*command, "--label-names", "好=正面"]).output
    assert "text in 'text'; label in 'label'" in output
    assert "2 labels, which exclude each other:" in output
    assert "  正面: 40 rows" in output and "  坏: 20 rows" in output
    many = converted(table(tmp_path, [f"类{n % 30}" for n in range(300)]), "csv")
    assert "  and 10 more in report.md" in list(summarize(many))
