"""Input files: found, unpacked, decoded, in pieces of bounded size."""

import codecs
import gzip
import io
import itertools
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO

from spacy_bert_zh.errors import BertZhError, missing_extra

SAMPLE = 1 << 18
PIECE = 1 << 20
# Four times what spaCy's nlp.max_length of 1,000,000 characters takes in UTF-8: no record
# above this has a text that could be used, and none is ever held in memory.
RECORD_LIMIT = 1 << 24
TOO_LONG = "record over the limit of 16 Mi characters"
# A share of unreadable characters that broken bytes don't explain, but a wrong encoding does.
WRONG_ENCODING = 0.01
CHINESE = ("gb18030", "big5")
PACKED = (".gz", ".xz")


def find_files(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the file `path`, or every file in that folder that ends in one of `suffixes`."""
    if not path.is_dir():
        yield path
        return
    endings = tuple(suffix + packed for suffix in suffixes for packed in ("", *PACKED))
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            if name.endswith(endings) and not name.startswith("."):
                yield Path(folder, name)


class Source:
    """One input file as text. Broken bytes become U+FFFD.

    Args:
        path: The file, plain or packed by gzip or xz.
        root: The input that it was found in: a folder, or the file itself.
        encoding: Its encoding; None detects it.
        progress: Called with the number of further bytes of the file that are done.

    Attributes:
        notes: What a reader has decided about the file, for the report.
    """

    def __init__(
        self,
        path: Path,
        root: Path,
        encoding: str | None = None,
        progress: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.path = path
        self.root = root
        self.notes: list[str] = []
        self._encoding = encoding
        self._progress = progress
        self._done = 0

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Yield (line number, text): a line, or a long line in several pieces."""
        encoding = self._encoding or detect_encoding(self.path)
        skipping_bom = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        decoder = codecs.getincrementaldecoder(skipping_bom)("replace")
        number, characters, broken = 1, 0, 0
        with _unpacked(self.path) as (raw, stream):
            while True:
                data = stream.readline(PIECE)
                text = decoder.decode(data, final=not data)
                characters += len(text)
                broken += text.count("\ufffd")
                if text:
                    yield number, text
                number += data.endswith(b"\n")
                self.done(raw.tell())
                if not data:
                    break
        if broken > characters * WRONG_ENCODING:
            raise BertZhError(
                f"{self.path}: {broken / characters:.0%} of its characters can't be read as "
                f"{encoding}: name the right encoding with --encoding"
            )

    def lines(self) -> Iterator[tuple[int, str | None]]:
        """Yield (line number, line), with None for a line of more than `RECORD_LIMIT`."""
        for number, pieces in itertools.groupby(self.pieces(), key=itemgetter(0)):
            yield number, _joined(piece for _, piece in pieces)

    def text(self) -> str | None:
        """The whole text, or None if it is more than `RECORD_LIMIT`."""
        return _joined(piece for _, piece in self.pieces())

    def done(self, position: int) -> None:
        """Report progress up to a position in the file."""
        self._progress(position - self._done)
        self._done = position


def _joined(pieces: Iterable[str]) -> str | None:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size <= RECORD_LIMIT:
            parts.append(piece)
    return "".join(parts) if size <= RECORD_LIMIT else None


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file, as it is on disk and unpacked."""
    with open(path, "rb") as raw:
        try:
            if path.suffix == ".gz":
                with gzip.open(raw) as stream:
                    yield raw, io.BufferedReader(stream, PIECE)
            elif path.suffix == ".xz":
                with lzma.open(raw) as stream:
                    yield raw, io.BufferedReader(stream, PIECE)
            else:
                yield raw, raw
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
            raise BertZhError(f"{path} is damaged and can't be unpacked: {error}") from error


def detect_encoding(path: Path) -> str:
    """Tell UTF-8, GB18030 and Big5 apart by the start of a file, some broken bytes allowed."""
    with _unpacked(path) as (_, stream):
        sample = stream.read(SAMPLE)
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BertZhError(f"{path} is UTF-16: convert it first, iconv -f utf-16 -t utf-8 {path}")
    if _readable(sample, "utf-8"):
        return "utf-8"
    candidates = [encoding for encoding in CHINESE if _readable(sample, encoding)]
    if not candidates:
        raise BertZhError(
            f"{path} is neither UTF-8 nor GB18030 nor Big5: name its encoding with --encoding"
        )
    return candidates[0] if len(candidates) == 1 else _likelier_chinese(sample)


def _readable(sample: bytes, encoding: str) -> bool:
    # An incremental decoder keeps a character that the end of the sample cuts to itself.
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\ufffd") <= foreign * WRONG_ENCODING


def _likelier_chinese(sample: bytes) -> str:
    """The Chinese encoding whose text looks more like Chinese; nearly all bytes fit both."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        purpose = "telling GB18030 and Big5 apart (or give --encoding)"
        raise missing_extra("charset-normalizer", "convert", purpose) from None
    best = from_bytes(sample, cp_isolation=list(CHINESE)).best()
    return best.encoding if best else CHINESE[0]
