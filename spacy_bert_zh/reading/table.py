"""CSV and TSV with a header."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from spacy_bert_zh.reading.columns import choose
from spacy_bert_zh.reading.dialects import find_dialect
from spacy_bert_zh.reading.exports import refused
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.records import Record, records
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source


def read_csv(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read rows of fields between commas, semicolons, tabs or bars, whatever the file has."""
    return _read(source, options, None)


def read_tsv(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read rows of fields between tabs."""
    return _read(source, options, "\t")


def _read(source: Source, options: Options, delimiter: str | None) -> Iterator[Row | Reject]:
    dialect = find_dialect(source, options, delimiter)
    header: list[str] | None = None
    for item in records(source, dialect):
        if isinstance(item, Reject):
            yield item
        elif header is None:
            header = item.fields
            names = unique_names(header)
            columns = choose(names, options, source)
        elif len(item.fields) != len(names):
            detail = f"in lines {item.line} to {item.last}: {len(item.fields)}, not {len(names)}"
            text = dialect.delimiter.join(item.fields)
            yield Reject(item.line, "wrong number of fields", detail, text)
        elif item.fields == header:
            yield Reject(item.line, "header repeated", text=dialect.delimiter.join(header))
        else:
            record = dict(zip(names, item.fields, strict=True))
            row = refused(item.line, record, columns) or columns.row(item.line, record)
            yield _told(row, item) if item.remark else row


def _told(row: Row | Reject, record: Record) -> Row | Reject:
    """A row with what had to be decided to read it."""
    if isinstance(row, Row):
        return row if row.remark else replace(row, remark=record.remark)
    if record.last == record.line:
        return row
    return replace(row, detail=f"in lines {record.line} to {record.last}: {row.detail}")


def unique_names(header: Sequence[str]) -> list[str]:
    """The names of columns, without spaces around; those that occur twice are numbered."""
    names = [name.strip() for name in header]
    total, seen = Counter(names), Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name} ({seen[name]})" if name and total[name] > 1 else name)
    return unique
