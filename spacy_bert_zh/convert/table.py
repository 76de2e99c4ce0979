"""CSV and TSV with a header."""

import csv
from collections.abc import Iterator

from spacy_bert_zh.convert.columns import choose
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject, Row
from spacy_bert_zh.convert.source import RECORD_LIMIT, TOO_LONG, Source


def read_csv(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read rows of fields between commas."""
    return _read(source, options, ",")


def read_tsv(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read rows of fields between tabs."""
    return _read(source, options, "\t")


def _read(source: Source, options: Options, delimiter: str) -> Iterator[Row | Reject]:
    table = _Table(source, delimiter, options.quotes)
    names: list[str] | None = None
    for item in table.records():
        if isinstance(item, Reject):
            yield item
            continue
        first, fields = item
        if names is None:
            names = fields
            columns = choose(names, options, source)
        elif len(fields) != len(names):
            detail = f"in lines {first} to {table.line}: {len(fields)}, not {len(names)}"
            yield Reject(first, "wrong number of fields", detail, delimiter.join(fields))
        else:
            yield columns.row(first, dict(zip(names, fields, strict=True)))


class _Table:
    """The records of a file, with the line that each starts in."""

    def __init__(self, source: Source, delimiter: str, quotes: bool) -> None:
        self._first = self.line = 0
        self._source = source
        self._rejects: list[Reject] = []
        # The limit is the whole process's; the default stops at 131,072 characters.
        csv.field_size_limit(RECORD_LIMIT)
        # Strict, or a quote that is never closed would swallow the rows after it unnoticed.
        self._reader = csv.reader(
            self._lines(),
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
            strict=True,
        )

    def records(self) -> Iterator[tuple[int, list[str]] | Reject]:
        """Yield (first line, fields) for the records that aren't blank, or what is wrong."""
        while True:
            self._first = 0
            try:
                fields = next(self._reader, None)
            except csv.Error as error:
                detail = f"in lines {self._first} to {self.line}: {error} (see --no-quotes)"
                yield Reject(self._first, "malformed", detail)
                continue
            yield from self._rejects
            self._rejects.clear()
            if fields is None:
                return
            if fields:
                yield self._first, fields

    def _lines(self) -> Iterator[str]:
        for number, line in self._source.lines():
            self.line = number
            if line is None:
                self._rejects.append(Reject(number, TOO_LONG))
            else:
                self._first = self._first or number
                yield line
