"""Files, whatever the format: encodings, archives, folders, records without an end."""

import gzip
import lzma
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.inputs import PIECE
from spacy_bert_zh.reading.source import RECORD_LIMIT, detect_encoding
from tests.reading.rows import DOC, read, rejected, rows, write

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
