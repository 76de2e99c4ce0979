"""What stands between the fields of a table, and what its quotation marks mean."""

import csv
import re
from dataclasses import replace
from itertools import dropwhile, islice

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.inputs import named
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.records import Dialect, fit, within
from spacy_bert_zh.reading.source import Source

DELIMITERS = (",", ";", "\t", "|")
# Lines that delimiters are compared by, and how much better the best one must fit.
_SAMPLE = 100
_CLEARLY = 0.2
# What Excel itself understands in a first line.
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE | re.DOTALL)


def find_dialect(source: Source, options: Options, delimiter: str | None) -> Dialect:
    """Tell the dialect of a file by the options and by all of its lines.

    Args:
        source: The file.
        options: Their `delimiter`, `quotes` and `escape` are taken as they are.
        delimiter: What the format has between fields; None if that is to be found.

    Raises:
        BertZhError: It could be several delimiters.
    """
    head = [line or "" for _, line in islice(source.lines(progress=False), _SAMPLE)]
    skipped = 0
    if head and (match := _SEPARATOR.fullmatch(head[0])):
        delimiter, skipped = match[1], 1
    delimiter = options.delimiter or delimiter or _likeliest(head, source)
    dialect = Dialect(delimiter, options.quotes is not False, options.escape, skipped)
    if options.quotes is False:
        return dialect
    found = fit(source, dialect)
    if found.escaped and not options.escape:
        escaping = replace(dialect, escape="\\")
        if (other := fit(source, escaping)).failed < found.failed:
            dialect, found = escaping, other
    if found.spaced:
        spacing = replace(dialect, spaced=True)
        if (other := fit(source, spacing)).failed <= found.failed:
            dialect, found = spacing, other
            source.notes.append("spaces before quotation marks after a delimiter are left out")
    # Where no field needs quotation marks, marks around rows were typed.
    return replace(dialect, sure=options.quotes or (None if found.quoted else False))


def _likeliest(head: list[str], source: Source) -> str:
    head = _from_header(head)
    header = head[0] if head else ""
    shares = {d: _share(head, d) for d in DELIMITERS if len(_split(header, d)) > 1}
    best = sorted(shares, key=lambda d: shares[d], reverse=True) or [","]
    if len(best) > 1 and shares[best[0]] - shares[best[1]] < _CLEARLY:
        names = " or ".join(repr(d) for d in best)
        raise BertZhError(
            f"{named(source.path)} may have {names} between its fields: say which, --delimiter"
        )
    return best[0]


def _share(head: list[str], delimiter: str) -> float:
    """The share of lines with as many fields as the first."""
    rows = [_split(line, delimiter) for line in head if line.strip()]
    width = len(rows[0])
    return sum(len(within(row, width)) == width for row in rows) / len(rows)


def _from_header(head: list[str]) -> list[str]:
    """The lines without those above the header that have no value."""
    empty = "".join(DELIMITERS)
    return list(dropwhile(lambda line: not line.strip().strip(empty), head))


def _split(line: str, delimiter: str) -> list[str]:
    line = line.rstrip("\r\n")
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a carriage return in the line
        return line.split(delimiter)
