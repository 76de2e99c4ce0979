"""JSON objects: one per line (CLUE, FewCLUE), in an array, or with nothing between them."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from spacy_bert_zh.convert.columns import Columns, choose
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject, Row
from spacy_bert_zh.convert.source import RECORD_LIMIT, TOO_LONG, Source

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
    """Read a row from each object, by the columns of the first one."""
    columns: Columns | None = None
    for item in objects(source):
        if isinstance(item, Reject):
            yield item
            continue
        number, record = item
        columns = columns or choose(record, options, source.path)
        yield columns.row(number, record)


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
