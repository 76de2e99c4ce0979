"""From a record with named columns to a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject, Row
from spacy_bert_zh.errors import BertZhError

TEXTS = ("text", "sentence", "content", "review", "news", "comment", "title", "raw_content")
LABELS = ("label_desc", "label", "labels", "category", "cat", "class")


@dataclass(frozen=True)
class Columns:
    """The columns to read; `label` is None for unlabelled text, `kept` for all that are there."""

    text: tuple[str, ...]
    label: str | None
    separator: str | None
    kept: tuple[str, ...] | None = ()

    def row(self, line: int, record: Mapping[str, Any]) -> Row | Reject:
        """Take a row from a record."""
        row = self._row(line, record)
        if self.kept == ():
            return row
        names = [name for name in record if name not in self.text]
        return replace(
            row, columns={n: record.get(n) for n in (names if self.kept is None else self.kept)}
        )

    def _row(self, line: int, record: Mapping[str, Any]) -> Row | Reject:
        values = [record.get(name) for name in self.text]
        excerpt = " ".join(str(value) for value in values if value is not None)
        texts = [value for value in values if value is not None]
        if not texts or not all(isinstance(value, str) for value in texts):
            return Reject(line, "no text", f"in {', '.join(self.text)}", excerpt)
        text = "\n".join(value for value in texts if value)
        if self.label is None:
            return Row(line, text, None)
        labels = self._labels(record.get(self.label))
        if labels is None:
            return Reject(line, "no label", f"in {self.label}", excerpt)
        return Row(line, text, labels)

    def _labels(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, list):
            # An empty list is a statement: none of the labels.
            names = [self._name(item) for item in value]
            return None if None in names else tuple(sorted({name for name in names if name}))
        name = self._name(value)
        if name is None:
            return None
        if self.separator is None:
            return (name,)
        return tuple(sorted({part.strip() for part in name.split(self.separator)} - {""})) or None

    @staticmethod
    def _name(value: Any) -> str | None:
        return str(value).strip() or None if isinstance(value, str | int | float) else None


def choose(names: Iterable[str], options: Options, path: Path) -> Columns:
    """Choose the columns that the options name, or well-known ones.

    Raises:
        BertZhError: A column isn't there, or none of the well-known ones is.
    """
    names = list(names)
    there = f"the columns of {path} are: {', '.join(map(repr, names)) or 'none'}"
    for name in (*options.text_columns, options.label_column, *(options.keep or ())):
        if name and name not in names:
            raise BertZhError(f"no column '{name}': {there}")
    text = options.text_columns or tuple(name for name in TEXTS if name in names)[:1]
    if not text:
        raise BertZhError(f"no text column: {there}; choose with --text-columns")
    if options.unlabelled:
        return Columns(text, None, None, options.keep)
    label = options.label_column or next((name for name in LABELS if name in names), None)
    if label is None:
        raise BertZhError(
            f"no label column: {there}; choose with --label-column, or --unlabelled for text alone"
        )
    return Columns(text, label, options.label_separator, options.keep)
