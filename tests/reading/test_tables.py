"""Tables as people make them: quotation marks, delimiters, escapes, workbooks, Parquet."""

import csv
import io
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import parquet as parquet_reader
from spacy_bert_zh.reading import records
from spacy_bert_zh.reading.dialects import find_dialect
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.records import BEYOND, SPANS, SWALLOWED, UNPAIRED, Record
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import RECORD_LIMIT, Source
from tests.reading.rows import read, rejected, remarks, rows, texts, write

# quotation marks


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_typed_quotation_marks_melt_no_rows(tmp_path: Path, format: str) -> None:
    between = "\t" if format == "tsv" else ","
    typed = {10: '"这家店又贵', 20: '再也不来"', 30: '"好吃"真的', 40: '说"好"的'}
    lines = [f"{n % 2}{between}{typed.get(n, f'第{n}单')}" for n in range(60)]
    source = write(tmp_path / f"a.{format}", "\n".join([f"label{between}text", *lines]) + "\n")
    items = read(source, format)
    assert texts(items) == [typed.get(n, f"第{n}单") for n in range(60)]
    assert remarks(items) == [(12, UNPAIRED), (32, UNPAIRED)]


def test_a_mark_that_is_never_closed_costs_no_other_row(tmp_path: Path) -> None:
    lines = "".join(f'1,第{n}单\n1,"两行\n第{n}单"\n' for n in range(20))
    items = read(write(tmp_path / "a.csv", f'label,text\n{lines}0,"坏\n{lines}'), "csv")
    assert len(items) == 81 and not rejected(items)
    assert [kind for _, kind in remarks(items)].count(SPANS) == 40
    assert (62, UNPAIRED) in remarks(items)


def test_fields_over_several_lines_stay_whole(tmp_path: Path) -> None:
    """Also where each of their lines has as many commas as a row."""
    table = [["label", "text"], *(["1", f"味道{n}\n很好,下次再来"] for n in range(9))]
    table += [["0", "贵,差"], ["0", '他说"好"']]
    text = io.StringIO()
    csv.writer(text).writerows(table)
    items = read(write(tmp_path / "a.csv", text.getvalue()), "csv")
    assert texts(items) == [row[1] for row in table[1:]]
    assert [kind for _, kind in remarks(items)] == [SPANS] * 9


def test_marks_around_many_rows_are_rejected_by_a_name_unless_told(tmp_path: Path) -> None:
    content = 'label\ttext\n0\t"有\t表"\n' + '0\t"这家\n1\t很好\n0\t太差"\n' + "1\t后\n"
    source = write(tmp_path / "a.tsv", content)
    items = read(source, "tsv")
    assert texts(items) == ["有\t表", "后"]
    assert rejected(items) == [(line, SWALLOWED) for line in (3, 4, 5)]
    details = {item.detail for item in items if isinstance(item, Reject)}
    assert details == {"in lines 3 to 5 (see --quotes, --no-quotes and --escape)"}
    assert len(texts(read(source, "tsv", quotes=True))) == 3
    assert len(texts(read(source, "tsv", quotes=False))) == 4


@pytest.mark.parametrize("limit", ["MOST_LINES", "RECORD_LIMIT", "MOST_FIELDS"])
def test_records_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(records, limit, 1000)
    content = 'label,text\n1,前\n1,"' + "好,\n" * 2000 + '"\n1,后\n'
    items = read(write(tmp_path / "a.csv", content), "csv")
    assert texts(items)[0] == "前" and texts(items)[-1] == "后"
    # Whatever it was, each of its lines is accounted for.
    lines = {item.line for item in items}
    assert lines == set(range(2, 2005))


def test_very_many_fields_take_no_memory(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "label,text\n" + "," * (RECORD_LIMIT - 2) + "\n1,后\n")
    items = read(source, "csv")
    assert texts(items) == ["后"] and [line for line, _ in rejected(items)] == [2]


# A field that is hard: marks, breaks, delimiters. Not only white space, or the row is no row.
FIELDS = st.text(st.sampled_from('好坏a ,;\t"\n\\'), max_size=8).map(lambda text: f"文{text}字")


@settings(max_examples=80, deadline=None)
@given(
    table=st.lists(FIELDS, min_size=1, max_size=20),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_program_has_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[str],
    delimiter: str,
    quoting: Any,
    end: str,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([["label", "text"], *(["1", field] for field in table)])
    source = write(tmp_path_factory.mktemp("t") / "a.csv", text.getvalue())
    # The file's own word that marks are no text; without it, lines that look like rows are rows.
    items = read(source, "csv", quotes=True, delimiter=delimiter)
    assert texts(items) == table
    found = read(source, "csv", delimiter=delimiter)
    lines = text.getvalue().count("\n") - 1
    spanned = sum(t.count("\n") for item in found if isinstance(item, Row) for t in [item.text])
    assert len(found) + spanned == lines, "a line is lost"


LINES = st.lists(st.text(st.sampled_from('好1 ,\t"\\'), max_size=12), max_size=30)


@settings(max_examples=80, deadline=None)
@given(lines=LINES)
@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_every_line_of_a_table_is_in_one_record(
    tmp_path_factory: pytest.TempPathFactory, format: str, lines: list[str]
) -> None:
    delimiter = "," if format == "csv" else "\t"
    content = "\n".join([f"label{delimiter}text", *lines]) + "\n"
    file = write(tmp_path_factory.mktemp("t") / "a.txt", content)
    source = Source(file, file)
    dialect = find_dialect(source, Options(format), delimiter)
    covered: list[int] = []
    for item in records.records(source, dialect):
        last = item.last if isinstance(item, Record) else item.line
        covered += range(item.line, last + 1)
    filled = {n for n, line in enumerate(lines, 2) if line}
    assert covered == sorted(set(covered)), "a line is read twice"
    assert filled <= set(covered), "a line is lost"
    # And each record is a row or is rejected.
    items = read(file, format, **({"delimiter": ","} if format == "csv" else {}))
    found = records.records(source, dialect)
    assert [item.line for item in items] == [item.line for item in found][1:]


@settings(max_examples=80, deadline=None)
@given(lines=LINES)
@pytest.mark.parametrize("format", ["text", "thucnews"])
def test_every_line_is_a_row_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, format: str, lines: list[str]
) -> None:
    file = write(tmp_path_factory.mktemp("t") / "a.txt", "\n".join(lines))
    items = read(file, format, **({"label_first": False} if format == "thucnews" else {}))
    assert [item.line for item in items] == [n for n, x in enumerate(lines, 1) if x.strip()]


# delimiters and escapes


@pytest.mark.parametrize("label", ["好评", "好,评"])
def test_spaces_between_delimiters_and_quotation_marks(tmp_path: Path, label: str) -> None:
    content = f'"text", "label"\n"不错, 好", "{label}"\n"差", "{label}"\n'
    found = [(2, "不错, 好", (label,)), (3, "差", (label,))]
    for text in (content, content.replace('"text", "label"', "text,label")):
        assert rows(read(write(tmp_path / "a.csv", text), "csv")) == found
    typed = write(tmp_path / "a.csv", 'text,label\n差, "好"吧\n')
    assert rows(read(typed, "csv")) == [(2, "差", ('"好"吧',))]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    lines = "".join(f"{n},5{delimiter}好吃,推荐；{n}\n" for n in range(9))
    source = write(tmp_path / "a.csv", f"label{delimiter}text\n{lines}")
    assert rows(read(source, "csv"))[0] == (2, "好吃,推荐；0", ("0,5",))


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_delimiters_at_the_end_and_empty_rows_above(tmp_path: Path, delimiter: str) -> None:
    lines = [",,", "", "text,label", "甲,好,", '"乙,二",坏,,', '"一\n二",好,', "丙,好,?", "丁,坏"]
    content = "\n".join(line.replace(",", delimiter) for line in lines)
    items = read(write(tmp_path / "a.csv", content), "csv")
    assert rows(items) == [
        (4, "甲", ("好",)),
        (5, f"乙{delimiter}二", ("坏",)),
        (6, "一\n二", ("好",)),
        (9, "丁", ("坏",)),
    ]
    assert rejected(items) == [(8, "wrong number of fields")]
    assert remarks(items) == [(4, BEYOND), (5, BEYOND), (6, SPANS)]


def test_the_delimiter_of_the_first_line_or_of_the_user(tmp_path: Path) -> None:
    named = write(tmp_path / "a.csv", "sep=;\r\nlabel;text\r\n1;好,吃\r\n")
    assert rows(read(named, "csv")) == [(3, "好,吃", ("1",))]
    stars = write(tmp_path / "b.tsv", "label*text\n1*好\n")
    assert rows(read(stars, "tsv", delimiter="*")) == [(2, "好", ("1",))]
    tabs = write(tmp_path / "c.csv", "label\ttext\n1\t好\n")
    assert rows(read(tabs, "csv", delimiter="tab")) == rows(read(tabs, "csv", delimiter="\\t"))
    unclear = write(tmp_path / "d.csv", "label,text;more\n1,好;x\n")
    with pytest.raises(BertZhError, match=r"d.csv may have ',' or ';' .*, --delimiter"):
        read(unclear, "csv")
    assert texts(read(unclear, "csv", text_columns=("text;more",), delimiter=",")) == ["好;x"]


def test_backslashes_before_quotation_marks(tmp_path: Path) -> None:
    content = 'label,text\n1,"他说\\"好\\", 是吗"\n0,C:\\路径\n1,"两\\"\n行"\n'
    items = read(write(tmp_path / "a.csv", content), "csv")
    assert texts(items)[0] == '他说"好", 是吗' and texts(items)[2] == '两"\n行'
    told = write(tmp_path / "b.csv", 'label,text\n1,"他说^"好^", 是吗"\n')
    assert texts(read(told, "csv", escape="^")) == ['他说"好", 是吗']


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "jsonl", "delimiter": ","}, "--delimiter means nothing to the format jsonl"),
        ({"format": "text", "quotes": False}, "--no-quotes means nothing to the format text"),
        ({"format": "csv", "sheet": "一"}, "--sheet means nothing to the format csv"),
        ({"format": "csv", "delimiter": "||"}, r"--delimiter '\|\|': give one character"),
        ({"format": "csv", "escape": ""}, "--escape '': give one character"),
        ({"format": "csv", "escape": ";", "delimiter": ";"}, "are both ;"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BertZhError, match=said):
        Options(**options)


def test_a_column_that_is_there_twice_is_no_guess(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "label, text ,text\n1,一,二\nlabel, text ,text\n")
    with pytest.raises(BertZhError, match=r"'text \(1\)', 'text \(2\)'"):
        read(source, "csv")
    items = read(source, "csv", text_columns=("text (2)",))
    assert texts(items) == ["二"] and rejected(items) == [(3, "header repeated")]


# workbooks


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        for row in table:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_as_people_see_it(tmp_path: Path) -> None:
    table = [
        ["备注", " text ", "label"],
        [None, "好\n吃", 1],
        [None, 666, 1.0],
        [],
        [None, 0.1 + 0.2, True],
        [None, date(2024, 5, 1), "甲"],
        [None, datetime(2024, 5, 1, 8, 30), "乙"],
        [None, "多", "甲", "多出"],
        ["只有", None, "甲"],
        [None, "#N/A", "甲"],
    ]
    source = (
        workbook(tmp_path / "folder" / "评论.XLSX", {"数据": table, "空": []})
        if (tmp_path / "folder").mkdir() is None
        else tmp_path
    )
    items = read(source.parent, " XLSX ".strip())
    assert rows(items) == [
        (2, "好\n吃", ("1",)),
        (3, "666", ("1",)),
        (5, "0.3", ("TRUE",)),
        (6, "2024-05-01", ("甲",)),
        (7, "2024-05-01 08:30:00", ("乙",)),
    ]
    assert rejected(items) == [(8, "wrong number of fields"), (9, "no text"), (10, "no text")]


def test_several_sheets_are_no_guess(tmp_path: Path) -> None:
    table = [["text", "label"], ["好", "甲"]]
    source = workbook(tmp_path / "a.xlsx", {"训练": table, "测试": table})
    with pytest.raises(BertZhError, match="several sheets: choose of '训练', '测试' by --sheet"):
        read(source, "xlsx")
    assert texts(read(source, "xlsx", sheet="测试")) == ["好"]
    with pytest.raises(BertZhError, match=r"no sheet 'x': the sheets of .* '训练', '测试'"):
        read(source, "xlsx", sheet="x")
    with pytest.raises(BertZhError, match="is an Excel workbook: read it with --format xlsx"):
        read(source, "csv")
    with pytest.raises(BertZhError, match=r"is no .xlsx workbook"):
        read(write(tmp_path / "b.xlsx", "text,label\n"), "xlsx")


# Parquet


def test_parquet_with_broken_bytes(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    broken = [b"\xe5\xa5\xbd", b"\xe5\xa5", "坏了的一行\xff".encode("latin-1", "ignore"), b"x"]
    table = pyarrow.table({"text": pyarrow.array(broken), "label": ["a"] * 4})
    as_text = pyarrow.Array.from_buffers(pyarrow.string(), 4, table["text"].chunk(0).buffers())
    for name, column in (("s", as_text), ("b", table["text"])):
        parquet.write_table(table.set_column(0, "text", column), tmp_path / f"{name}.parquet")
        items = read(tmp_path / f"{name}.parquet", "parquet")
        assert texts(items)[:2] == ["好", "\ufffd"] and len(items) == 4


def test_a_small_parquet_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    from pyarrow import parquet

    def shared(text: str, times: int) -> pyarrow.Array:
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * times), [text])

    huge = shared("长" * 2_000_000, 1000)
    parquet.write_table(
        pyarrow.table({"text": huge, "label": ["a"] * 1000}), tmp_path / "a.parquet"
    )
    assert (tmp_path / "a.parquet").stat().st_size < 2_000_000
    before = pyarrow.total_allocated_bytes()
    items = read(tmp_path / "a.parquet", "parquet")
    assert len(rejected(items)) == 1000
    assert pyarrow.default_memory_pool().max_memory() - before < 500_000_000
    labels = pyarrow.ListArray.from_arrays([0, 20_000], shared("标签", 20_000))
    parquet.write_table(pyarrow.table({"text": ["好"], "labels": labels}), tmp_path / "b.parquet")
    assert [line for line, _ in rejected(read(tmp_path / "b.parquet", "parquet"))] == [1]
    zeros = pyarrow.table({"text": ["好" * 1_000_000], "label": ["a"]})
    parquet.write_table(zeros, tmp_path / "c.parquet", compression="zstd", use_dictionary=False)
    monkeypatch.setattr(parquet_reader, "UNPACKED", 1 << 20)
    with pytest.raises(BertZhError, match="more than 250 times its size"):
        read(tmp_path / "c.parquet", "parquet")
