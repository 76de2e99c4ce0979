"""Labels: told from any value, cleaned like texts, named, and warned of."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.convert import Options, convert, parse_options, summarize
from spacy_bert_zh.convert.naming import alike, same_values
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.cleaning import make_cleaner, make_label_cleaner
from spacy_bert_zh.reading.columns import EMPTY_FLAG
from spacy_bert_zh.reading.formats import FORMATS
from spacy_bert_zh.reading.label_values import (
    TWIN,
    NotALabelError,
    is_missing,
    is_true,
    label_names,
)
from spacy_bert_zh.reading.options import UNDERSTOOD_BY, UNLABELLED

CHARACTERS = "正负 \t\n\u3000\xa0\u200b\ufeffＡａ1１.，,|e\u0301\uf900\u2028"


def corpus(path: Path, rows: list[tuple[str, Any]], name: str = "corpus.jsonl") -> Path:
    lines = (json.dumps({"text": t, "label": v}, ensure_ascii=False) for t, v in rows)
    (path / name).write_text("\n".join(lines), "utf-8")
    return path / name


def table(path: Path, labels: list[str], name: str = "corpus.csv") -> Path:
    rows = "".join(f"第{n}条,{label}\n" for n, label in enumerate(labels))
    (path / name).write_text("text,label\n" + rows, "utf-8")
    return path / name


def converted(source: Path, format: str, **options: Any) -> dict[str, Any]:
    given = {"split": "0.5,0.5,0", "split_by": "stratified", **options}
    return convert(source, source.parent / "out", parse_options(format=format, **given))


def rejected(source: Path) -> list[str]:
    lines = (source.parent / "out" / "rejects.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["reason"] for line in lines]


# values


@pytest.mark.parametrize(
    ("value", "separator", "names"),
    [
        ("体育", None, ("体育",)),
        ("b|a| a ", "|", ("a", "b")),
        (1, None, ("1",)),
        (1.0, None, ("1",)),
        (Decimal("2.00"), None, ("2",)),
        (1.5, None, ("1.5",)),
        (True, None, ("true",)),
        (["乙", "甲"], None, ("乙", "甲")),
        ([2, 1], None, ("1", "2")),
        ([], None, ()),
        ('["甲", "乙"]', None, ("乙", "甲")),
        ("['甲', \"乙\"]", ",", ("乙", "甲")),
        ("['甲' '乙']", None, ("乙", "甲")),
        ("[0 2]", None, ("0", "2")),
        ("('甲', '乙')", None, ("乙", "甲")),
        ("{'甲', '乙'}", None, ("乙", "甲")),
        ("[]", None, ()),
        ({"choices": ["甲", "乙"]}, None, ("乙", "甲")),
        ('{"choices": ["甲"]}', None, ("甲",)),
        ([{"choices": ["甲"]}, {"choices": ["乙"]}], None, ("乙", "甲")),
        ({"甲": 1.0, "乙": 0.0}, None, ("甲",)),
        ({"甲": False, "乙": False}, None, ()),
        ({"label": 1}, None, ("1",)),
        ("[体育]", None, ("[体育]",)),
        ("(好评)", None, ("(好评)",)),
        ("('好评')", None, ("('好评')",)),
    ],
)
def test_labels_of_a_value(value: Any, separator: str | None, names: tuple[str, ...]) -> None:
    assert label_names(value, separator) == names


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no label"),
        (float("nan"), "no label"),
        ("  ", "no label"),
        (["甲", None], "no label"),
        ({}, "no label"),
        ({"甲": 0.7, "乙": 0.3}, "label that can't be read"),
        ([0, 0, 1], "label that can't be read"),
        ([[0, 9, "LOC"]], "label that can't be read"),
        ([{"label": "LOC", "start_offset": 0, "end_offset": 2}], "label that can't be read"),
        ("['甲', '乙", "label that can't be read"),
        ("[体育, 财经]", "label that can't be read"),
        ("{'choices': [", "label that can't be read"),
        (b"bytes", "label that can't be read"),
    ],
)
def test_values_without_a_label(value: Any, reason: str) -> None:
    with pytest.raises(NotALabelError) as error:
        label_names(value)
    assert error.value.reason == reason


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(CHARACTERS + "[]{}'\":"),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_value_gives_names_or_one_kind_of_error(value: Any) -> None:
    for form in (value, str(value), json.dumps(value)):
        try:
            names = label_names(form, "|")
        except NotALabelError:
            continue
        assert all(name == name.strip() != "" for name in names)
        assert list(names) == sorted(set(names))


@pytest.mark.parametrize("text", ["NaN", "-nan", "N/A", "#N/A", "NULL", "<NA>", "NaT", "#DIV/0!"])
def test_missing_as_programs_write_it(text: str) -> None:
    assert is_missing(text) and is_true(text) is None


@pytest.mark.parametrize("text", ["none", "NONE", "na", "无", "n", "0", "-"])
def test_not_missing(text: str) -> None:
    assert not is_missing(text)


# cleaning

cleaning = st.sampled_from(["none", "width", "nfkc"]).map(lambda how: Options("csv", normalize=how))


@given(cleaning, st.text(CHARACTERS) | st.text())
def test_labels_are_cleaned_as_texts_are(options: Options, label: str) -> None:
    clean: Callable[[str], str] = make_label_cleaner(options)
    once = clean(label)
    assert clean(once) == once
    assert "\n" not in once
    text = make_cleaner(options)(label)
    assert once == text or "\n" in text


def test_one_class_however_it_was_typed(tmp_path: Path) -> None:
    labels = ["Ａ类", "A类", " A类\u3000", "A\u200b类", "\ufeffA类", "乙", "乙 ", "乙"]
    report = converted(table(tmp_path, labels), "csv")
    assert report["labels"] == ["A类", "乙"]


def test_labels_are_composed_in_cats_class_txt_and_names(tmp_path: Path) -> None:
    decomposed, composed = "cafe\u0301", "café"
    cats = [{"text": f"第{n}条", "cats": {decomposed: n % 2, "茶": 1 - n % 2}} for n in range(8)]
    source = tmp_path / "cats.jsonl"
    source.write_text("\n".join(map(json.dumps, cats)), "utf-8")
    assert converted(source, "jsonl")["labels"] == [composed, "茶"]
    named = converted(source, "jsonl", label_names=f"{composed}=咖啡")
    assert named["labels"] == ["咖啡", "茶"]
    (tmp_path / "class.txt").write_text(f"{decomposed}\n茶\n", "utf-8")
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"第{n}条\t{[composed, 1][n % 2]}\n" for n in range(8)), "utf-8")
    assert converted(lines, "thucnews")["labels"] == [composed, "茶"]


# the same value in several spellings


@pytest.mark.parametrize(
    ("labels", "same"),
    [
        ({"0.0", "1.0"}, {"0.0": "0", "1.0": "1"}),
        ({"1", "1.0", "好"}, {"1.0": "1"}),
        ({"1.0", "1.5"}, {}),
        ({"1.10", "1.1", "1.0"}, {}),
        ({"True", "true", "False"}, {"True": "true"}),
        ({"True", "False"}, {}),
        ({"v1.0", "v1"}, {}),
    ],
)
def test_same_values(labels: set[str], same: dict[str, str]) -> None:
    assert same_values(labels) == same


def test_numbers_of_pandas_over_several_files(tmp_path: Path) -> None:
    table(tmp_path, ["0", "1"] * 4, "a.csv")
    (tmp_path / "b.csv").write_text("text,label\n甲,0.0\n乙,1.0\n丙,\n", "utf-8")
    report = converted(tmp_path, "csv", label_names="0=负面,1=正面")
    assert report["labels"] == ["正面", "负面"]
    assert report["rejected"] == {"no label": 1}
    assert "'1.0' is read as '1'" in report["notes"]


def test_versions_stay_apart(tmp_path: Path) -> None:
    report = converted(table(tmp_path, ["1.10", "1.1", "1.0"] * 4), "csv")
    assert report["labels"] == ["1.0", "1.1", "1.10"]


# missing labels


def test_what_was_taken_as_missing_is_said_and_can_be_kept(tmp_path: Path) -> None:
    source = table(tmp_path, ["None", "甲", "乙"] * 4)
    report = converted(source, "csv")
    assert report["labels"] == ["乙", "甲"]
    assert report["taken_as_missing"] == {"None": 4}
    assert any("--label-names 'None=None'" in line for line in summarize(report))
    assert rejected(source)[0] == "no label but 'None', taken as missing"
    assert converted(source, "csv", label_names="None=None")["labels"] == ["None", "乙", "甲"]


def test_nan_of_json_and_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    values = [0.0, 1.0, float("nan"), None] * 3
    source = corpus(tmp_path, [(f"第{n}条", value) for n, value in enumerate(values)])
    report = converted(source, "jsonl")
    assert report["labels"] == ["0", "1"] and report["rejected"] == {"no label": 6}
    texts = [f"第{n}条" for n in range(12)]
    rows = pyarrow.table({"text": texts, "label": pyarrow.array(values, pyarrow.float64())})
    parquet.write_table(rows, tmp_path / "corpus.parquet")
    assert converted(tmp_path / "corpus.parquet", "parquet")["labels"] == ["0", "1"]


def test_an_empty_list_is_a_statement_only_where_labels_don_t_exclude_each_other(
    tmp_path: Path,
) -> None:
    rows: list[tuple[str, Any]] = [(f"第{n}条", [["甲"], ["乙"], []][n % 3]) for n in range(12)]
    source = corpus(tmp_path, rows)
    report = converted(source, "jsonl")
    assert not report["multilabel"] and report["rejected"] == {"no label": 4}
    report = converted(source, "jsonl", multilabel=True)
    assert report["multilabel"] and report["rejected"] == {}
    source = corpus(tmp_path, [*rows, ("都有", ["甲", "乙"])])
    report = converted(source, "jsonl")
    assert report["multilabel"] and report["rejected"] == {}


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


# options and formats

VALUES: dict[str, Any] = {
    **{"encoding": "gb18030", "text_columns": ("a",), "label_column": "a", "label_columns": ("a",)},
    **{"label_separator": "|", "label_first": True, "quotes": False, "classes": Path("c")},
    **{"hosts": Path("h"), "language": "en", "buckets": ("head",), "multilabel": True},
    **{"delimiter": ";", "escape": "\\", "sheet": "a", "keep": ("a",)},
    **{"label_names": (("0", "a"),), "segment": True, "pos": True, "shard_size": 5},
}


def test_the_table_of_options_names_formats_that_there_are() -> None:
    assert {name for formats in UNDERSTOOD_BY.values() for name in formats} <= FORMATS.keys()
    assert set(UNLABELLED) <= FORMATS.keys()
    assert {*UNDERSTOOD_BY, *Options.for_labels} <= VALUES.keys()


@pytest.mark.parametrize("format", FORMATS)
def test_an_option_that_a_format_can_t_follow_is_an_error(format: str) -> None:
    for name, value in VALUES.items():
        flag = "--" + name.replace("_", "-")
        understood = format in UNDERSTOOD_BY.get(name, FORMATS)
        if understood and not (name in Options.for_labels and format in UNLABELLED):
            Options(format, **{name: value})
            continue
        with pytest.raises(BertZhError, match=f"{flag}.* means nothing"):
            Options(format, **{name: value})


@pytest.mark.parametrize("name", Options.for_labels)
def test_options_for_labels_contradict_unlabelled(name: str) -> None:
    format = UNDERSTOOD_BY.get(name, ("csv",))[0]
    with pytest.raises(BertZhError, match=r"means nothing without labels \(--unlabelled\)"):
        Options(format, unlabelled=True, **{name: VALUES[name]})


def test_two_ways_to_find_labels() -> None:
    with pytest.raises(BertZhError, match="--label-column and --label-columns contradict"):
        Options("csv", label_column="a", label_columns=("b",))


@pytest.mark.parametrize("command", [["score", "pipe", "in.txt", "out.jsonl", "-f", "text"],
                                     ["pretrain", "in.txt", "out", "-f", "text"]])  # fmt: skip
def test_score_and_pretrain_refuse_them_too(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("文\n", "utf-8")
    command = [
        str(tmp_path / part) if part.startswith(("in.", "out")) else part for part in command
    ]
    result = CliRunner().invoke(app, [*command, "--text-columns", "评论"])
    assert result.exit_code == 1
    assert "--text-columns means nothing to the format text" in result.output
