"""Where bytes come from, what they are, and in which encoding."""

import bz2
import gzip
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.convert import Options, convert
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import inputs
from spacy_bert_zh.reading.inputs import STDIN, size
from spacy_bert_zh.reading.source import detect_encoding
from tests.reading.rows import read, rejected, rows, texts, write

TEXT = "中国体育代表团昨日在东京获得冠军，总统发表谈话，经济继续增长。\n" * 30
TRADITIONAL = "這家餐廳的東西不錯，老闆態度很好，下次還會再來。\n" * 30
ASCII = "order 7 delivered, 12 items\n" * 20_000


# encodings


@pytest.mark.parametrize(("text", "encoding"), [(TEXT, "gb18030"), (TRADITIONAL, "big5")])
def test_chinese_that_comes_late_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    source = write(tmp_path / "a.txt", (ASCII + text).encode(encoding))
    assert detect_encoding(source) == encoding
    assert texts(read(source, "text"))[-1] == text.splitlines()[0] + "\n"


def test_several_encodings_in_one_file_are_an_error(tmp_path: Path) -> None:
    utf_8, gb = TEXT.encode(), TEXT.encode("gb18030")
    for number, data in enumerate([utf_8 + gb, gb + utf_8, gb * 50 + utf_8[:-20] + b"\n"]):
        source = write(tmp_path / f"{number}.txt", data)
        with pytest.raises(BertZhError, match=r"in several encodings: line .* is UTF-8, but line "):
            read(source, "text")
    assert len(read(source, "text", encoding="gb18030")) > 1500


def test_a_few_lines_in_another_encoding_are_rejected_by_name(tmp_path: Path) -> None:
    lines = [f"{line}\t{n % 2}\n" for n, line in enumerate((TEXT * 10).splitlines())]
    data = [f"第{n}条{line}".encode() for n, line in enumerate(lines)]
    data[100] = "坏了的一行\t1\n".encode("gb18030")
    data[200] = data[200].replace("总".encode(), "总".encode()[:2])
    source = write(tmp_path / "a.txt", b"".join(data))
    report = convert(source, tmp_path / "out", Options("thucnews"))
    assert report["rejected"] == {"broken bytes": 1}
    assert report["rows_with_broken_bytes"] == 2
    out = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "o"), "-f", "thucnews"])
    assert "broken bytes, now U+FFFD or left out: 2 rows" in out.output


def test_broken_characters_are_not_diluted_by_ascii(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", ASCII.encode() + "好坏".encode("gb18030"))
    with pytest.raises(BertZhError, match="67% of its characters beyond ASCII can't be read"):
        read(source, "text", encoding="utf-8")


def test_what_was_read_wrongly_before_is_utf_8_all_the_same(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "好\ufffd很好\n坏\ufffd\n")
    assert detect_encoding(source) == "utf-8"
    assert texts(read(source, "text")) == ["好\ufffd很好\n", "坏\ufffd\n"]
    assert texts(read(source, "text", encoding="utf-8")) == ["好\ufffd很好\n", "坏\ufffd\n"]


def test_an_encoding_that_is_named_wrongly(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", TEXT)
    with pytest.raises(BertZhError, match="is UTF-8, not gb18030: leave --encoding out"):
        read(source, "text", encoding="gb18030")
    for name in ("idna", "rot13", "no such", "undefined"):
        with pytest.raises(BertZhError, match=f"--encoding {name} is unknown"):
            Options("text", encoding=name)


def test_marks_of_byte_order_are_no_text(tmp_path: Path) -> None:
    table = "\ufefftext,label\n好,甲\n"
    source = write(tmp_path / "a.csv", table + table)
    assert rows(read(source, "csv")) == [(2, "好", ("甲",)), (4, "好", ("甲",))]
    line = "\ufeff" + json.dumps({"text": "好", "label": "甲"}) + "\n"
    assert texts(read(write(tmp_path / "a.jsonl", line * 2), "jsonl")) == ["好", "好"]
    wide = write(tmp_path / "b.csv", table.encode("utf-16"))
    assert rows(read(wide, "csv")) == [(2, "好", ("甲",))]
    assert rows(read(wide, "csv", encoding="utf-16")) == [(2, "好", ("甲",))]


# lines


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_end_as_they_do(tmp_path: Path, end: str) -> None:
    lines = [f"第{n}单" for n in range(20)]
    assert (
        texts(read(write(tmp_path / "a.txt", end.join(lines)), "text"))
        == [line + end.replace("\r", "\n")[-1:] for line in lines[:-1]] + lines[-1:]
        or end == "\r\n"
    )
    table = end.join(["label,text", *(f"1,{line}" for line in lines)])
    assert rows(read(write(tmp_path / "a.csv", table), "csv")) == [
        (n, line, ("1",)) for n, line in enumerate(lines, 2)
    ]
    objects = end.join(json.dumps({"text": line, "label": 1}) for line in lines)
    found = rows(read(write(tmp_path / "a.jsonl", objects), "jsonl"))
    assert [row[0] for row in found] == list(range(1, 21))


def test_a_carriage_return_in_a_line_is_text(tmp_path: Path) -> None:
    source = write(tmp_path / "a.tsv", "label\ttext\n1\t一\r二\n" + "1\t三\n" * 5)
    items = read(source, "tsv")
    assert texts(items)[0] == "一\r二" and len(items) == 6


# files


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", Path("/dev/zero"), tmp_path):
        for format in ("text", "parquet", "xlsx"):
            if path.is_dir() and format != "text":
                continue
            with pytest.raises(BertZhError, match=r"isn't a regular file: .* - for standard input"):
                read(path, format)


def test_folders_as_they_are_linked(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "b.TXT", "乙")
    corpus = tmp_path / "corpus"
    write(corpus / "a.txt.GZ", gzip.compress("甲".encode()))
    write(corpus / ".hidden" / "c.txt", "藏")
    write(corpus / "~$a.txt", "锁")
    (corpus / "link").symlink_to(tmp_path / "elsewhere")
    (corpus / "loop").symlink_to(corpus)
    assert texts(read(corpus, "text")) == ["甲", "乙"]
    (corpus / "self.txt").symlink_to(corpus / "self.txt")
    with pytest.raises(OSError, match="symbolic links"):
        read(corpus, "text")


def test_standard_input_is_read_whatever_its_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress("label,text\n1,好\n".encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    inputs.standard_input.cache_clear()
    try:
        assert rows(read(STDIN, "csv")) == [(2, "好", ("1",))]
        # Again, since it is kept.
        assert rows(read(STDIN, "csv")) == [(2, "好", ("1",))]
        assert size(STDIN) == len(data)
    finally:
        inputs.standard_input.cache_clear()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return file.getvalue()


@pytest.mark.parametrize("format", ["csv", "jsonl", "text", "thucnews", "sogou"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped("xl/workbook.xml"), "is an Excel workbook: read it with --format xlsx"),
        (zipped("word/document.xml"), "is a Word document: save it as"),
        (zipped("mimetype", "content.xml"), "is an OpenDocument file: save it as .xlsx"),
        (zipped("train.csv"), "is a zip archive: unpack it"),
        (tarred(), "is a tar archive: unpack it"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an old Excel or Word file: save"),
        (b"PAR1" + bytes(100), "is a Parquet file: read it with --format parquet"),
        (bz2.compress(b"x"), "is packed by bzip2"),
        (gzip.compress(gzip.compress(b"x")), "is packed twice"),
    ],
    ids=["xlsx", "docx", "ods", "zip", "tar.gz", "pdf", "xls", "parquet", "bz2", "twice"],
)
def test_what_isn_t_text_is_called_by_its_name(
    tmp_path: Path, format: str, data: bytes, said: str
) -> None:
    with pytest.raises(BertZhError, match=said):
        read(write(tmp_path / "a.csv", data), format)


def test_packed_without_the_ending(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", gzip.compress("label,text\n1,好\n".encode()))
    assert texts(read(source, "csv")) == ["好"]


def test_a_file_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "UNPACKED", 1 << 22)
    source = write(tmp_path / "a.csv.gz", gzip.compress(b"label,text\n" + bytes(1 << 23)))
    with pytest.raises(BertZhError, match="unpacks to more than 250 times its size"):
        read(source, "csv")


def test_one_record_in_a_packed_file(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv.gz", gzip.compress(b"label,text\n" + b"a," * (1 << 23)))
    assert [reason for _, reason in rejected(read(source, "csv"))] != []


@pytest.mark.parametrize("format", ["CSV", " csv "])
def test_formats_as_typed(tmp_path: Path, format: str) -> None:
    source = write(
        tmp_path / "两 个.CSV", "label,text\n" + "".join(f"{n % 2},第{n}单\n" for n in range(40))
    )
    out = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "out"), "-f", format])
    assert out.exit_code == 0, out.output
    assert texts(read(tmp_path, format))
