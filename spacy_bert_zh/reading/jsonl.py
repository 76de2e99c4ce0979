"""JSON objects: one per line (CLUE, FewCLUE), in an array, or with nothing between them.

Also the exports of annotation tools (exports.py) and a table in one object (orients.py).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from spacy_bert_zh.reading.columns import Columns, choose, has_text_column
from spacy_bert_zh.reading.exports import Record, understand
from spacy_bert_zh.reading.label_values import NO_LABEL
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.orients import rows_within
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import RECORD_LIMIT, TOO_LONG, Source

# Records whose keys are the columns: not every one need have them all.
SAMPLE = 100
_DECODER = json.JSONDecoder()
# What may stand between objects.
_BETWEEN = re.compile(r"[\s,\[\]]*")
# Where the next object may begin after a malformed one.
_NEXT = re.compile(r"(?:\n|\}\s*,?)\s*(?=\{)")
# A piece that ends inside a line may cut a number, a literal or an escape.
_CUT = 16
# An unfinished object is tried again when it has grown by this part of itself.
_PATIENCE = 4


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read a row from each object, by the columns of the first ones."""
    items = _records(source, options)
    while first := list(_sample(items)):
        if any(_tells_columns(item, options) for _, item in first):
            break
        yield from (_rejected(number, item) for number, item in first)
    else:
        return
    found = [record for _, record in first if isinstance(record, Record)]
    names = dict.fromkeys(name for record in found for name in record.values)
    labels = dict.fromkeys(name for record in found for name in record.labels)
    columns = choose(dict.fromkeys((*names, *labels)), options, source, tuple(labels))
    for number, item in chain(first, items):
        yield item if isinstance(item, Reject) else _row(number, item, columns, labels)


def _tells_columns(item: Record | Reject, options: Options) -> bool:
    """Whether it has columns; a task that nobody has done yet doesn't tell the label's."""
    chosen = options.unlabelled or options.label_column
    return isinstance(item, Record) and bool(item.labels or not item.faults or chosen)


def _rejected(number: int, item: Record | Reject) -> Reject:
    return item if isinstance(item, Reject) else Reject(number, *item.faults[""])


def _row(number: int, record: Record, columns: Columns, labels: Collection[str]) -> Row | Reject:
    row = columns.row(number, record.values)
    label = columns.label
    # A tool's column holds a label only where the tool says so.
    by_tool = label in labels and (record.labels or record.faults)
    if label is None or not by_tool or (label in record.labels and label in record.values):
        return row
    if isinstance(row, Reject) and row.reason != NO_LABEL:
        return row
    reason, detail = record.faults.get(label) or record.faults.get("") or (NO_LABEL, "")
    return Reject(number, reason, detail, row.text)


def _records(source: Source, options: Options) -> Iterator[tuple[int, Record | Reject]]:
    """Yield (line number, record); within a table in one object its rows are counted instead."""

    def has_text(record: Mapping[str, Any]) -> bool:
        return has_text_column(record, options)

    for item in objects(source):
        if isinstance(item, Reject):
            yield item.line, item
            continue
        rows = rows_within(item[1], has_text)
        for number, row in [item] if rows is None else enumerate(rows, 1):
            yield number, understand(row)


def _sample(items: Iterator[tuple[int, Record | Reject]]) -> Iterator[tuple[int, Record | Reject]]:
    """The first items: few, and not much text."""
    size = 0
    for number, item in islice(items, SAMPLE):
        yield number, item
        size += len(str(item))
        if size > RECORD_LIMIT:
            return


def objects(source: Source) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
    """Yield (line number, object) for every object of a file, whatever is around it.

    A malformed one is rejected, and reading goes on at the next that can begin.
    """
    rest, line, enough = "", 1, 0
    # An empty piece says that no more will come.
    for piece in chain((piece for _, piece in source.pieces()), [""]):
        rest += piece
        if piece and len(rest) < enough:
            continue
        done = position = enough = 0
        while (position := _skip(rest, position)) < len(rest):
            line += rest.count("\n", done, position)
            done = position
            try:
                value, position = _DECODER.raw_decode(rest, position)
            except (ValueError, RecursionError) as error:
                size = len(rest) - position
                if piece and size <= RECORD_LIMIT and _may_go_on(error, rest):
                    # Not again at every line: an object of very many would take for ever.
                    enough = size + size // _PATIENCE
                    break
                match = _NEXT.search(rest, position + 1)
                position = match.end() if match else len(rest)
                reason = TOO_LONG if size > RECORD_LIMIT else "malformed JSON"
                yield Reject(line, reason, _message(error), rest[done:position])
            else:
                if isinstance(value, dict):
                    yield line, value
                else:
                    yield Reject(line, "not a JSON object", text=rest[done:position])
        line += rest.count("\n", done, position)
        rest = rest[position:]


def _skip(text: str, position: int) -> int:
    match = _BETWEEN.match(text, position)
    assert match is not None
    return match.end()


def _may_go_on(error: Exception, text: str) -> bool:
    """Whether more text could still mend what could not be read."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    if text.endswith("\n"):
        return error.pos >= len(text.rstrip())
    return error.pos >= len(text) - _CUT or error.msg.startswith("Unterminated string")


def _message(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)
