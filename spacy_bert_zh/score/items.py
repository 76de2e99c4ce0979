"""The rows of an input, those that can't be read among them, with what goes along with them."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import Options, Reject, Row, Source, fault, get_format


@dataclass(frozen=True)
class Item:
    """A row of the input.

    Attributes:
        file: The file it is in, within the source.
        line: Where it starts there.
        text: The text, as it stands there; empty where it couldn't be read.
        columns: What goes along with it, as a JSON object; empty for nothing.
        error: Why it can't be classified, or nothing.
    """

    file: str
    line: int
    text: str
    columns: str = ""
    error: str = ""


def read_items(
    files: Iterable[Path], source: Path, options: Options, with_text: bool
) -> Iterator[Item]:
    """Every row of some files, in order.

    Args:
        files: Of the source.
        source: File or folder, or standard input.
        options: How to read it.
        with_text: Keep the texts that can't be classified, too.

    Raises:
        BertZhError: A file can't be read.
    """
    read = get_format(options.format).read
    for file in files:
        name = str(file.relative_to(source)) if file != source else file.name
        name = os.fsencode(name).decode("utf-8", "replace")  # it need not be UTF-8, the output is
        for row in read(Source(file, source, options.encoding), options):
            try:
                columns = _columns(row, options)
            except RecursionError:
                yield Item(name, row.line, "", error="columns nested too deeply")
                continue
            if isinstance(row, Reject):
                reason = _writable(f"{row.reason} {row.detail}".strip())
                yield Item(name, row.line, "", columns, reason)
            elif error := fault(row.text, None):
                yield Item(name, row.line, _writable(row.text) if with_text else "", columns, error)
            else:
                yield Item(name, row.line, row.text, columns)


def _columns(row: Row | Reject, options: Options) -> str:
    if options.keep == ():
        return ""
    if row.columns is None:
        if isinstance(row, Row):
            raise BertZhError(f"--keep: rows of the format {options.format} have no columns")
        return ""
    return _writable(json.dumps(_plain(row.columns), ensure_ascii=False))


def _plain(value: Any) -> Any:
    """A value as JSON has it; what JSON doesn't know becomes text."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _writable(text: str) -> str:
    """A text as UTF-8 can have it: halves of characters become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
