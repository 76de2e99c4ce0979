"""Damaged corpora: one clear error or some rows, soon, in little memory."""

import csv
import faulthandler
import gzip
import io
import json
import lzma
import multiprocessing
import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.errors import BertZhError
from tests.reading.rows import read

SECONDS = 10
MEMORY = 2 << 30
RECORDS = [{"text": f"第{n}家店的外卖味道不错，“下次”还来", "label": n % 2} for n in range(12)]


def table(delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["label", "text"])
    writer.writerows(
        [record["label"], f'{record["text"]}\n"{n}",'] for n, record in enumerate(RECORDS)
    )
    return text.getvalue()


def lines(make: Callable[[dict[str, Any]], str]) -> bytes:
    return "".join(make(record) for record in RECORDS).encode()


def parquet_file() -> bytes:
    import pyarrow
    from pyarrow import parquet

    data = {name: [record[name] for record in RECORDS] for name in ("text", "label")}
    data["label"] = [[str(label), "乙"] for label in data["label"]]
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(data), file, row_group_size=5)
    return file.getvalue()


def workbook_file() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["text", "label"])
    for record in RECORDS:
        book.active.append([record["text"], record["label"]])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def news(record: dict[str, Any]) -> str:
    return (
        "<doc>\n<url>http://it.sohu.com/</url>\n<contenttitle>题</contenttitle>\n"
        f"<content>{record['text']}</content>\n</doc>\n"
    )


def page(record: dict[str, Any]) -> str:
    return json.dumps({"raw_content": record["text"], "language": "zh", "bucket": "head"}) + "\n"


VALID: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv": ("csv", lambda: table(",").encode()),
    "tsv": ("tsv", lambda: table("\t").encode("gb18030")),
    "big5.csv": ("csv", lambda: b"text,label\n" + "這家店,好\n".encode("big5") * 30),
    "utf-16.csv": ("csv", lambda: table(";").encode("utf-16")),
    "jsonl": ("jsonl", lambda: lines(lambda record: json.dumps(record, ensure_ascii=False) + "\n")),
    "json": ("jsonl", lambda: json.dumps(RECORDS, indent=1).encode()),
    "txt": ("text", lambda: lines(lambda record: record["text"] + "\r")),
    "thucnews.txt": ("thucnews", lambda: lines(lambda r: f"{r['text']}\t{r['label']}\n")),
    "dat": ("sogou", lambda: lines(news)),
    "ccnet.json": ("ccnet", lambda: lines(page)),
    "parquet": ("parquet", parquet_file),
    "xlsx": ("xlsx", workbook_file),
    "csv.gz": ("csv", lambda: gzip.compress(table(",").encode())),
    "jsonl.xz": ("jsonl", lambda: lzma.compress(json.dumps(RECORDS).encode())),
}
# What readers may take to heart.
SPICE = [
    *(b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b'\\"', b",", b"\t", b";"),
    *(b"[" * 5000, b'{"a":' * 5000, b"<doc>", b"</doc>", b"PK\x03\x04", b"\x1f\x8b", b"PAR1"),
    *("好".encode("gb18030"), "好".encode(), b"\x81\x30\x81\x30", b"9" * 5000, b"-1", b"NaN"),
]


def mutated(data: bytes, choice: random.Random) -> bytes:
    """A file with one to eight places cut, doubled, moved, overwritten or spiced."""
    changed = bytearray(data)
    for _ in range(choice.randint(1, 8)):
        start = choice.randrange(len(changed) + 1)
        end = min(len(changed), start + choice.choice([1, 1, 2, 4, 16, 200]))
        part = bytes(changed[start:end])
        match choice.randrange(7):
            case 0:
                del changed[start:end]
            case 1:
                changed[start:start] = part * choice.choice([1, 2, 300])
            case 2:
                changed[start:end] = choice.randbytes(len(part))
            case 3:
                changed[start:start] = choice.choice(SPICE)
            case 4:
                changed[start:end] = bytes([choice.choice([0, 255, 127, 128])]) * len(part)
            case 5:
                del changed[start:]
            case 6 if start < len(changed):
                changed[start] ^= 1 << choice.randrange(8)
    return bytes(changed)


@dataclass
class Outcome:
    """What became of the files: how many were read, refused, and what went wrong."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    peak: int = 0
    faults: tuple[str, ...] = ()


def try_all(kind: str, seeds: range, folder: Path, result: Any) -> None:
    """Read mutations of a file of a kind, in a process that may not have more memory."""
    faulthandler.enable()
    format, make = VALID[kind]
    valid = make()
    path = folder / f"corpus.{kind}"
    read_soundly(path, format, valid)  # the libraries are loaded, whatever they take
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    outcome = Outcome()
    for seed in seeds:
        result.put(seed)  # the last one heard of is the one that ended the process
        started = time.monotonic()
        try:
            outcome.read += read_soundly(path, format, mutated(valid, random.Random(seed)))
        except BertZhError as error:
            outcome.refused += 1
            if "\n" in str(error) or not str(error):
                outcome.faults += (f"{seed}: {error!r}",)
        except BaseException as error:
            outcome.faults += (f"{seed}: {error!r}",)
        outcome.slowest = max(outcome.slowest, time.monotonic() - started)
    outcome.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result.put(outcome)


def read_soundly(path: Path, format: str, data: bytes) -> int:
    path.write_bytes(data)
    items = read(path, format)
    assert all(item.line >= 1 for item in items)
    return 1


def fuzz(kind: str, seeds: range, folder: Path) -> Outcome:
    context = multiprocessing.get_context("spawn")
    result: Any = context.Queue()
    process = context.Process(target=try_all, args=(kind, seeds, folder, result), daemon=True)
    process.start()
    last: Any = None
    try:
        while not isinstance(last, Outcome):
            last = result.get(timeout=SECONDS + 50 * (last is None))
    except Exception:
        process.kill()
        pytest.fail(f"{kind}: mutation {last} hangs or ends the process ({process.exitcode})")
    process.join()
    return last


@pytest.mark.parametrize("kind", VALID)
def test_a_few_damaged_files(kind: str, tmp_path: Path) -> None:
    """A sample of the long run below, in this process."""
    format, make = VALID[kind]
    valid = make()
    assert read_soundly(tmp_path / f"corpus.{kind}", format, valid)
    for seed in range(5):
        try:
            read_soundly(tmp_path / f"corpus.{kind}", format, mutated(valid, random.Random(seed)))
        except BertZhError as error:
            assert "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", VALID)
def test_seven_hundred_damaged_files(kind: str, tmp_path: Path) -> None:
    outcome = fuzz(kind, range(700), tmp_path)
    print(kind, outcome)
    assert not outcome.faults
    assert outcome.slowest < SECONDS and outcome.peak < MEMORY
    assert outcome.read and outcome.read + outcome.refused == 700
