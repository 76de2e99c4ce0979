"""Tables of questions and answers, of texts and of pairs, in any form that tables come in."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import Options, Reject, Source, get_format
from spacy_bert_zh.reading.inputs import PACKED

FORMATS = {
    **{".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "json", ".txt": "text"},
    **{".xlsx": "xlsx", ".xlsm": "xlsx", ".parquet": "parquet"},
}
_BETWEEN = re.compile(r"[|｜\n]")


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        text: Of its column of texts.
        columns: Of the others that were asked for.
        source: Where it comes from, such as ``faq.csv:12``.
    """

    text: str
    columns: dict[str, Any]
    source: str

    def one(self, column: str) -> str:
        """The text in a column; empty where there is none.

        Raises:
            BertZhError: There is something else.
        """
        value = self.columns.get(column) if column else None
        if value is None:
            return ""
        if not isinstance(value, str):
            raise BertZhError(f"{self.source}: '{column}' holds {value!r:.40}, and not a text")
        return value.strip()

    def number(self, column: str) -> float:
        """The number in a column.

        Raises:
            BertZhError: There is none.
        """
        value = self.columns.get(column)
        try:
            found = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            found = math.nan
        if isinstance(value, bool) or not math.isfinite(found):
            raise BertZhError(f"{self.source}: '{column}' holds {value!r:.40}, and not a number")
        return found

    def several(self, column: str) -> list[str]:
        """The texts in a column: a list of them, or between bars or line breaks."""
        value = self.columns.get(column) if column else None
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            parts = value
        else:
            parts = _BETWEEN.split(self.one(column))
        return [part.strip() for part in parts if part.strip()]


def read_table(path: Path, text_column: str, *columns: str) -> Iterator[Line]:
    """Yield the rows of a table.

    Args:
        path: A file of the format that its name ends in: csv, tsv, xlsx, parquet, json, jsonl, or
            txt with a text on each line; also packed (.gz, .xz).
        text_column: Of the texts; empty takes the one that is called as texts usually are.
        columns: Of what else is read; an empty name stands for none.

    Raises:
        BertZhError: There is no such file or column, or a row can't be read.
    """
    endings = [ending.lower() for ending in path.suffixes if ending.lower() not in PACKED]
    kind = FORMATS.get(endings[-1] if endings else "")
    if kind is None:
        raise BertZhError(f"{path}: its name must end in one of {', '.join(FORMATS)}")
    kept = tuple(column for column in columns if column)
    if kind == "text" and (kept or text_column):
        raise BertZhError(f"{path} has no columns, and '{(text_column, *kept)[-1]}' is asked for")
    given = (text_column,) if text_column else ()
    options = Options(format=kind, text_columns=given, keep=kept, unlabelled=kind != "text")
    if not path.is_file():
        raise BertZhError(f"No file at {path}")
    for row in get_format(kind).read(Source(path, path, None, lambda count: None), options):
        if isinstance(row, Reject):
            raise BertZhError(f"{path}, line {row.line}: {row.reason} {row.detail}".rstrip())
        found = {column: (row.columns or {}).get(column) for column in kept}
        yield Line(row.text.strip(), found, f"{path.name}:{row.line}")
