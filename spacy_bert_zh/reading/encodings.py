"""The encoding of a file and what ends its lines, told by all of its bytes."""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.reading.inputs import blocks, named

# The share of the characters beyond ASCII that broken bytes may cost; a wrong encoding costs more.
WRONG_ENCODING = 0.01
# In a small file, where a single one is more than that.
FEW, WRONG_IN_FEW = 5, 0.03
CHINESE = ("gb18030", "big5")
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
# UTF-32 first: its mark begins like that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Four Chinese characters of UTF-8 in a row: other encodings spell them by chance once in 10^11.
_UTF_8 = re.compile(rb"(?:[\xe3-\xe9][\x80-\xbf]{2}){4}")
# Bytes beyond ASCII, from all over the file, that GB18030 and Big5 are told apart by.
_SAMPLE = 1 << 16
_LINES = 32
_LINE = 1 << 12
# Zeros are every other byte of English in UTF-16, but no more than an accident in UTF-8.
_ZEROS = 0.25
# Stands for what can't be read: half a character, which no encoding yields. U+FFFD may be a file's
# own, where somebody has read it wrongly before.
_BROKEN = "\udcff"
_MARK_BROKEN = "spacy_bert_zh.mark_broken"
codecs.register_error(_MARK_BROKEN, lambda error: (_BROKEN, codecs.replace_errors(error)[1]))


@dataclass
class Census:
    """What a file holds when it is read in an encoding.

    Attributes:
        encoding: The encoding, as Python calls it.
        characters: All characters.
        foreign: Those beyond ASCII.
        broken: Those that can't be read.
        zeros: U+0000.
        feeds: Line feeds, those after a carriage return among them.
        returns: Carriage returns without a line feed.
    """

    encoding: str
    characters: int = 0
    foreign: int = 0
    broken: int = 0
    zeros: int = 0
    feeds: int = 0
    returns: int = 0

    @property
    def readable(self) -> bool:
        """Whether no more is broken than accidents break."""
        return self.broken <= max(
            self.foreign * WRONG_ENCODING, min(FEW, self.foreign * WRONG_IN_FEW)
        )

    @property
    def newline(self) -> str | None:
        """What ends the lines, as `io.TextIOWrapper` wants it: LF, or None for any, CR too."""
        return None if self.returns > self.feeds else "\n"


def survey(path: Path, encoding: str | None = None) -> Census:
    """Read a whole file once or more often, and tell its encoding.

    Args:
        path: The file, plain or packed.
        encoding: What its user says it is; None detects it.

    Raises:
        BertZhError: It isn't in that encoding, in none that is known, or in several.
    """
    return _check(path, encoding) if encoding else _detect(path)


def _check(path: Path, encoding: str) -> Census:
    narrow = not codecs.lookup(encoding).name.startswith("utf")
    if narrow and _first_utf_8(path) and not _count(path, "utf-8").broken:
        raise BertZhError(f"{named(path)} is UTF-8, not {encoding}: leave --encoding out")
    try:
        found = _count(path, encoding)
    except UnicodeError as error:  # without the mark that the encoding wants
        raise BertZhError(
            f"{named(path)} can't be read as {encoding} ({error}): leave --encoding out"
        ) from None
    if not found.readable:
        raise BertZhError(
            f"{named(path)}: {found.broken / found.foreign:.0%} of its characters beyond ASCII "
            f"can't be read as {encoding}: name the right encoding with --encoding"
        )
    return found


def _detect(path: Path) -> Census:
    head = next(blocks(path), b"")
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return _check(path, encoding)
    utf_8 = _count(path, "utf-8")
    wide = utf_8.zeros and (utf_8.broken or utf_8.zeros > utf_8.characters * _ZEROS)
    if wide and (found := _wide(path)):
        return found
    if utf_8.readable:
        return utf_8
    fitting = [census for encoding in CHINESE if (census := _count(path, encoding)).readable]
    if line := _first_utf_8(path):
        raise BertZhError(
            f"{named(path)} is in several encodings: line {line} is UTF-8, but line "
            f"{_first_broken(path)} isn't; bring all of it into one, or read it in one with "
            "--encoding"
        )
    if not fitting:
        raise BertZhError(
            f"{named(path)} is neither UTF-8 nor UTF-16 nor GB18030 nor Big5: name its encoding "
            "with --encoding"
        )
    return fitting[0] if len(fitting) == 1 else _likelier_chinese(path, fitting)


def _count(path: Path, encoding: str) -> Census:
    found = Census(encoding)
    # A carriage return at the end of a block waits for the next one.
    waiting = ""
    for text in _decoded(path, encoding):
        found.characters += len(text)
        found.foreign += len(text) - len(text.encode("ascii", "ignore"))
        found.broken += text.count(_BROKEN)
        found.zeros += text.count("\0")
        text = waiting + text
        waiting = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r")
        found.feeds += text.count("\n")
        found.returns += text.count("\r") - text.count("\r\n")
    found.returns += len(waiting)
    return found


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(_MARK_BROKEN)
    for data in chain(blocks(path), [b""]):
        yield decoder.decode(data, final=not data)


def _wide(path: Path) -> Census | None:
    """The census in UTF-16 or UTF-32 without a mark, if one of them makes sense."""
    head = next(blocks(path), b"")
    ascii_of: dict[str, int] = {}
    for encoding in WIDE:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
        odd = sum(number for char, number in Counter(text).items() if _is_odd(char))
        if odd <= len(text) * WRONG_ENCODING:
            ascii_of[encoding] = len(text.encode("ascii", "ignore"))
    if not ascii_of:
        return None
    # Letters whose bytes are swapped look like rare characters.
    found = _count(path, max(ascii_of, key=ascii_of.__getitem__))
    return found if found.readable else None


def _is_odd(char: str) -> bool:
    """Whether a character has no business in a text."""
    return char not in "\t\r\n" and unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs")


def _first_utf_8(path: Path) -> int:
    """The first line that can only be Chinese in UTF-8, or 0."""
    line = 1
    for data in blocks(path):
        if match := _UTF_8.search(data):
            return line + data.count(b"\n", 0, match.start())
        line += data.count(b"\n")
    return 0


def _first_broken(path: Path) -> int:
    """The first line that isn't UTF-8, or 0."""
    line = 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    for data in chain(blocks(path), [b""]):
        try:
            decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            return line + error.object.count(b"\n", 0, error.start)
        line += data.count(b"\n")
    return 0


def _likelier_chinese(path: Path, fitting: list[Census]) -> Census:
    """The census whose text looks more like Chinese; nearly all bytes fit both encodings."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        purpose = "telling GB18030 and Big5 apart (or give --encoding)"
        raise missing_extra("charset-normalizer", "convert", purpose) from None
    best = from_bytes(_sample(path), cp_isolation=list(CHINESE)).best()
    for census in fitting:
        if best and best.encoding == census.encoding:
            return census
    raise BertZhError(
        f"{named(path)} may be GB18030 as well as Big5: name its encoding with --encoding"
    )


def _sample(path: Path) -> bytes:
    """Lines with bytes beyond ASCII, from all over a file."""
    parts = [part for data in blocks(path) if (part := _sample_of_block(data))]
    step = max(1, sum(map(len, parts)) // _SAMPLE)
    return b"\n".join(parts[::step])[:_SAMPLE] if step > 1 else b"\n".join(parts)


def _sample_of_block(data: bytes) -> bytes:
    # The first line may begin in the middle of a character, if it isn't the only one.
    lines = data.split(b"\n")
    chosen = [line[:_LINE] for line in lines[1:] or lines if not line.isascii()]
    chosen = chosen[:: max(1, len(chosen) // _LINES)]
    return b"\n".join(line for line in map(_decodable, chosen) if line)


def _decodable(line: bytes) -> bytes:
    """A line, without a character that is cut at its end, if it is without fault in both."""
    for end in range(len(line), max(0, len(line) - 4), -1):
        try:
            for encoding in CHINESE:
                line[:end].decode(encoding)
        except UnicodeDecodeError:
            continue
        return line[:end]
    return b""
