"""Where bytes come from: regular files, found, opened and unpacked; or standard input."""

import gzip
import io
import lzma
import os
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

from spacy_bert_zh.errors import BertZhError

STDIN = Path("-")
"""The path that stands for standard input."""

PIECE = 1 << 20
PACKED = (".gz", ".xz")
# What a small file may unpack to. Text shrinks to a tenth; gzip's most is a thousandth.
UNPACKED = 1 << 28
SHRUNK = 250

_PACKERS = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz"}
_SAVE_AS = "save it as .xlsx (--format xlsx) or as CSV UTF-8 (--format csv)"
_UNPACK = "unpack it and give what is in it"
# What people give by mistake: (position, bytes there, what it is, the way out).
_KINDS = (
    (0, b"PAR1", "a Parquet file", "read it with --format parquet"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file", _SAVE_AS),
    (0, b"%PDF-", "a PDF", "copy its text into a text file"),
    (0, b"{\\rtf", "a document (RTF)", "save it as plain text"),
    (0, b"SQLite format 3\x00", "an SQLite database", "export its table as CSV"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (0, b"BZh", "packed by bzip2", "unpack it, or pack it by gzip"),
    (0, b"\x28\xb5\x2f\xfd", "packed by Zstandard", "unpack it, or pack it by gzip"),
    (0, b"\x1f\x8b", "packed twice", "unpack it once"),
    (0, b"ARROW1\x00\x00", "an Arrow file", "write it as Parquet (--format parquet)"),
    (257, b"ustar", "a tar archive", _UNPACK),
)
_HEAD = 512
# The second is what Excel puts beside a workbook that is open.
_HIDDEN = (".", "~$")


def named(path: Path) -> str:
    """How messages call an input."""
    return "standard input" if path == STDIN else str(path)


def find_files(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the file `path`, or every file in that folder that ends in one of `suffixes`.

    Case doesn't matter in endings, links to folders are followed, and what begins with a point
    (or ``~$``, Excel's locks) is hidden.

    Raises:
        OSError: A folder can't be read.
    """
    if path == STDIN or not path.is_dir():
        yield path
        return
    endings = tuple(suffix + packed for suffix in suffixes for packed in ("", *PACKED))
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(path, onerror=_raise, followlinks=True):
        known = os.stat(folder)
        if (known.st_dev, known.st_ino) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add((known.st_dev, known.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(_HIDDEN))
        for name in sorted(names):
            if name.lower().endswith(endings) and not name.startswith(_HIDDEN):
                yield Path(folder, name)


def _raise(error: OSError) -> None:
    raise error


def size(path: Path) -> int:
    """Bytes of an input, as it is on disk."""
    if path == STDIN:
        return standard_input().seek(0, os.SEEK_END)
    return path.stat().st_size


@cache
def standard_input() -> io.BufferedReader:
    """All of standard input in a temporary file without a name, so that it can be read again.

    It is read once, to its end, when it is first asked for, and goes with the process.
    """
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, file, PIECE)
    return cast(io.BufferedReader, file)


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file, or standard input where the path is ``-``.

    One at a time of standard input: all openings share its position.

    Raises:
        BertZhError: It is a folder, a pipe, a device: what may never end.
        OSError: It can't be opened.
    """
    if path == STDIN:
        standard_input().seek(0)
        yield standard_input()
        return
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise BertZhError(
            f"{path} isn't a regular file: give a file or a folder, or - for standard input"
        )
    with open(path, "rb") as file:
        yield file


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[io.BufferedReader, io.BufferedReader]]:
    """Open a file of text, as it is on disk and unpacked.

    Raises:
        BertZhError: It is damaged, or something else than text: a workbook, an archive.
    """
    with opened(path) as raw:
        try:
            stream = _unpacking(path, raw)
            _check_kind(path, stream, raw)
            yield raw, stream
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
            raise BertZhError(f"{named(path)} is damaged and can't be unpacked: {error}") from error


def blocks(path: Path) -> Iterator[bytes]:
    """Yield the unpacked bytes of a file of text in pieces.

    Raises:
        BertZhError: As `unpacked`, or it unpacks to far more than text does.
    """
    with unpacked(path) as (_, stream):
        total, most = 0, max(UNPACKED, SHRUNK * size(path)) if path != STDIN else None
        while data := stream.read(PIECE):
            total += len(data)
            if most and total > most:
                raise BertZhError(
                    f"{path} unpacks to more than {SHRUNK} times its size, as no text does: "
                    "unpack it and look at it"
                )
            yield data


def _unpacking(path: Path, raw: io.BufferedReader) -> io.BufferedReader:
    start = raw.read(6)
    raw.seek(0)
    told = next((ending for magic, ending in _PACKERS.items() if start.startswith(magic)), None)
    # What is packed need not be called so; what is called so and isn't packed is damaged.
    ending = told or path.suffix.lower()
    if ending == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), PIECE)
    if ending == ".xz":
        return io.BufferedReader(lzma.LZMAFile(raw), PIECE)
    return raw


def _check_kind(path: Path, stream: io.BufferedReader, raw: io.BufferedReader) -> None:
    head = stream.peek(_HEAD)[:_HEAD]
    kinds = ((what, way) for at, magic, what, way in _KINDS if head[at:].startswith(magic))
    kind = next(kinds, None)
    if head.startswith(b"PK\x03\x04"):
        kind = _kind_of_zip(raw) if stream is raw else ("a zip archive", _UNPACK)
    if kind:
        raise BertZhError(f"{named(path)} is {kind[0]}: {kind[1]}")


def _kind_of_zip(raw: io.BufferedReader) -> tuple[str, str]:
    try:
        names = zipfile.ZipFile(raw).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook", "read it with --format xlsx, or save it as CSV UTF-8"
    if any(name.startswith("word/") for name in names):
        return "a Word document", "save it as plain text"
    if "mimetype" in names and "content.xml" in names:
        return "an OpenDocument file", _SAVE_AS
    return "a zip archive", _UNPACK
