"""THUCNews and Sogou: documents in folders, lines with a tab, records with a host."""

from pathlib import Path

import pytest

from spacy_bert_zh.errors import BertZhError
from tests.reading.rows import DOC, read, rejected, rows, write

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


# which side of the tab


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
