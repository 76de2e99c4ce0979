"""Labels: told from any value, cleaned like texts, alike or missing."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.convert import Options, summarize
from spacy_bert_zh.convert.naming import same_values
from spacy_bert_zh.reading.cleaning import make_cleaner, make_label_cleaner
from spacy_bert_zh.reading.label_values import NotALabelError, is_missing, is_true, label_names
from tests.convert.corpora import converted, corpus, rejected, table

CHARACTERS = "正负 \t\n\u3000\xa0\u200b\ufeffＡａ1１.，,|e\u0301\uf900\u2028"


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
