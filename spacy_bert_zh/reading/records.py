"""Lines of a CSV or TSV to records, so that a stray quotation mark costs no row.

Nobody can tell by one record whether a quotation mark opens a field or was typed. So a record
that fails is taken back: its first line is read alone, without quotation marks, and reading goes
on at its second.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from spacy_bert_zh.reading.rows import Reject
from spacy_bert_zh.reading.source import RECORD_LIMIT, TOO_LONG, Source

SPANS = "over several lines"
UNPAIRED = "quotation mark without its pair, read as text"
BEYOND = "empty fields behind those of the header, left out"
INNER_RETURN = "carriage return in the line, read as text"
SWALLOWED = "quotation marks around what looks like rows"

# No row of a table has as many, and a million short fields take 60 MB.
MOST_FIELDS = 1 << 20
MOST_LINES = 1 << 16
# So many lines that each have the fields of a row are hardly one text. Tabs are in no text.
LIKE_ROWS = 4
# What a field begins with whose quotation marks stand behind a space.
_SPACED = re.compile(r' +"')
_ADVICE = "see --quotes, --no-quotes and --escape"


@dataclass(frozen=True)
class Dialect:
    """How a file spells a table.

    Args:
        delimiter: What stands between fields.
        quotes: Whether fields may stand in quotation marks.
        escape: What stands before a quotation mark inside a field; None doubles the mark.
        skipped: Lines before the header.
        spaced: Whether spaces after a delimiter belong to no field.
        sure: Whether quotation marks around what looks like several rows mean one field (True),
            are typed and each row is its own (False), or nobody knows (None).
    """

    delimiter: str
    quotes: bool = True
    escape: str | None = None
    skipped: int = 0
    spaced: bool = False
    sure: bool | None = None


@dataclass(frozen=True)
class Record:
    """Fields, the line they start in, the last line, and what had to be decided."""

    line: int
    last: int
    fields: list[str]
    remark: str = ""


@dataclass(frozen=True)
class Fit:
    """How well a dialect fits a file.

    Attributes:
        failed: Records that can't be read, or have not as many fields as the header.
        quoted: Whether quotation marks are the file's own: half of the records have a field in
            them, or some field must be in them, since it holds a delimiter, a line break or a
            doubled mark.
        escaped: Whether a record that failed has a quotation mark behind a backslash.
        spaced: Whether a field begins with a space and a quotation mark, which are its text so.
    """

    failed: int
    quoted: bool
    escaped: bool
    spaced: bool


def records(source: Source, dialect: Dialect) -> Iterator[Record | Reject]:
    """Yield the header and the records that aren't blank, or what is wrong."""
    attempts, width = _Attempts(source, dialect), 0
    for found in attempts:
        if isinstance(found, Reject):
            yield found
            continue
        attempt = found.within(width)
        fields, like_rows = attempt.fields, attempt.like_rows(width, dialect.delimiter)
        if like_rows and dialect.sure is None and attempt.surely_rows(dialect.delimiter):
            yield from _swallowed(attempt)
        elif attempt.failed(width) or (like_rows and dialect.sure is False):
            alone = attempt.alone(width, dialect.delimiter)
            attempts.take_back(attempt)
            width = width or (len(alone.fields) if isinstance(alone, Record) else 0)
            yield alone
        elif fields and (width or any(fields)):  # above a header there may be empty rows
            width = width or len(fields)
            remark = BEYOND if fields != found.fields else ""
            yield Record(attempt.line, attempt.last, fields, SPANS if attempt.spans else remark)


def fit(source: Source, dialect: Dialect) -> Fit:
    """Try a dialect on a whole file."""
    attempts, width, failed, quoted, escaped = _Attempts(source, dialect), 0, 0, False, False
    total, in_quotes, spaced = 0, 0, False
    for found in attempts:
        if isinstance(found, Reject) or not (width or found.fields is None or any(found.fields)):
            continue
        attempt = found.within(width)
        total += 1
        width = width or len(attempt.fields or [])
        if attempt.failed(width):
            attempts.take_back(attempt)
        spaced = spaced or any(map(_SPACED.match, attempt.fields or []))
        if attempt.fields is None or (attempt.fields and len(attempt.fields) != width):
            failed += 1
            escaped |= '\\"' in attempt.lines[0][1]
        elif '"' in attempt.lines[0][1]:
            in_quotes += attempt.in_quotes(dialect.delimiter)
            quoted = quoted or attempt.must_be_quoted(width, dialect.delimiter)
    return Fit(failed, quoted or 2 * in_quotes > total, escaped, spaced)


def within(fields: list[str], width: int) -> list[str]:
    """Fields without the empty ones behind the first `width`; all of them if it is 0."""
    if not width or any(fields[width:]):
        return fields
    return fields[:width]


def _swallowed(attempt: "_Attempt") -> Iterator[Reject]:
    for number, line in attempt.lines:
        detail = f"in lines {attempt.line} to {attempt.last} ({_ADVICE})"
        yield Reject(number, SWALLOWED, detail, line)


@dataclass(frozen=True)
class _Attempt:
    """Lines, and the fields that they are read as; None with the reason if they can't be."""

    lines: list[tuple[int, str]]
    fields: list[str] | None
    why: str = ""

    @property
    def line(self) -> int:
        return self.lines[0][0]

    @property
    def last(self) -> int:
        return self.lines[-1][0]

    @property
    def spans(self) -> bool:
        return len(self.lines) > 1

    def within(self, width: int) -> "_Attempt":
        """It without the empty fields behind the header's, which delimiters at its end make."""
        return replace(self, fields=self.fields and within(self.fields, width))

    def failed(self, width: int) -> bool:
        """Whether to take it back: a row of the wrong width in one line is just that."""
        if self.fields is None:
            return True
        return self.spans and bool(width) and len(self.fields) != width

    def in_quotes(self, delimiter: str) -> bool:
        """Whether quotation marks make a difference."""
        return self.spans or self.fields != self.lines[0][1].rstrip("\r\n").split(delimiter)

    def must_be_quoted(self, width: int, delimiter: str) -> bool:
        """Whether it is a row thanks to its quotation marks alone, or doubles one."""
        assert self.fields is not None
        if 2 * self.unlike_rows(width, delimiter) >= len(self.lines):
            return True
        doubled = sum(line.count('""') for _, line in self.lines)
        kept = sum(field.count('""') for field in self.fields)
        return doubled > kept and any('"' in field for field in self.fields)

    def unlike_rows(self, width: int, delimiter: str) -> int:
        """How many of its lines aren't rows by themselves."""
        rows = (line.rstrip("\r\n").split(delimiter) for _, line in self.lines)
        return sum(len(within(row, width)) != width for row in rows)

    def like_rows(self, width: int, delimiter: str) -> bool:
        """Whether it has several lines, each with as many fields as the header."""
        return self.spans and width > 1 and not self.unlike_rows(width, delimiter)

    def surely_rows(self, delimiter: str) -> bool:
        return delimiter == "\t" or len(self.lines) >= LIKE_ROWS

    def alone(self, width: int, delimiter: str) -> Record | Reject:
        """Its first line without quotation marks."""
        number, line = self.lines[0]
        fields = within(line.rstrip("\r\n").split(delimiter), width)
        if not width or len(fields) == width:
            return Record(number, number, fields, UNPAIRED if '"' in line else INNER_RETURN)
        why = self.why or f"{len(self.fields or [])} fields, not {width}"
        detail = f"in lines {number} to {self.last}: {why} ({_ADVICE})"
        return Reject(number, "malformed", detail, line)


class _Attempts:
    """What `csv` makes of the lines, one record after the other."""

    def __init__(self, source: Source, dialect: Dialect) -> None:
        self._lines = _Lines(source, dialect)
        # The limit is the whole process's; the default stops at 131,072 characters.
        csv.field_size_limit(RECORD_LIMIT)
        # Strict, or a quote that is never closed would swallow the rows after it unnoticed.
        self._reader = csv.reader(
            self._lines,
            delimiter=dialect.delimiter,
            quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE,
            escapechar=dialect.escape,
            skipinitialspace=dialect.spaced,
            strict=True,
        )

    def __iter__(self) -> Iterator[_Attempt | Reject]:
        while True:
            self._lines.taken = []
            try:
                fields = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                if self._lines.taken:
                    yield _Attempt(self._lines.taken, None, str(error))
                else:
                    yield Reject(self._lines.skip(), TOO_LONG)
            else:
                yield _Attempt(self._lines.taken, fields)

    def take_back(self, attempt: _Attempt) -> None:
        """Read all lines of an attempt but the first again."""
        self._lines.waiting.extendleft(reversed(attempt.lines[1:]))


class _Lines:
    """The lines for `csv`, which stops where a record gets too large."""

    def __init__(self, source: Source, dialect: Dialect) -> None:
        self._lines = source.lines()
        self._delimiter = dialect.delimiter
        self.waiting: deque[tuple[int, str | None]] = deque()
        self.taken: list[tuple[int, str]] = []
        self._size = self._fields = 0
        for _ in range(dialect.skipped):
            next(self._lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.taken:
            self._size = self._fields = 0
        number, line = self.waiting.popleft() if self.waiting else next(self._lines)
        self._size += len(line or "")
        self._fields += line.count(self._delimiter) if line else 0
        if (
            line is None
            or self._size > RECORD_LIMIT
            or self._fields > MOST_FIELDS
            or len(self.taken) >= MOST_LINES
        ):
            # Alone it can't be read at all; after others, it is another record perhaps.
            self.waiting.appendleft((number, line if self.taken else None))
            raise csv.Error(TOO_LONG)
        self.taken.append((number, line))
        return line

    def skip(self) -> int:
        """Leave out the line that is too long; its number."""
        return self.waiting.popleft()[0]
