"""The columns of a table, found in the rows before the first of them is written."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

DECIDED = {"decision": "text", "why": "text", "unlike": "number", "set": "texts"}
"""What a calibrated pipeline says, and the kind of these values."""
_WHOLE = range(-(2**63), 2**63)
_EXACT = range(-(2**53), 2**53 + 1)
"""Whole numbers that a floating-point number can be."""


@dataclass(frozen=True)
class Layout:
    """What columns a table has.

    Attributes:
        kept: The input's columns, by their name there; the kind of their values.
        labels: Of the pipeline.
        multilabel: Whether a row has any number of them.
        separator: What stands between several; no label holds it.
        text: Whether a row has its text.
        decided: What a calibrated pipeline says beside; the kind of these values.
    """

    kept: dict[str, str]
    labels: tuple[str, ...]
    multilabel: bool
    separator: str
    text: bool
    decided: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The header: file, line, the input's columns, text, label, decision, scores, error."""
        return ["file", "line", *self._renamed().values(), *self._ours()]

    def kinds(self) -> list[str]:
        """The kind of each column's values: text, texts, whole, number or truth."""
        label = "texts" if self.multilabel else "text"
        scores = ["number"] * len(self.labels)
        text = ["text"] * self.text
        decided = self.decided.values()
        return ["text", "whole", *self.kept.values(), *text, label, *decided, *scores, "text"]

    def values(self, row: dict[str, Any]) -> list[Any]:
        """The values of a row, in the order of the names and of their kinds."""
        columns, scores = row.get("columns", {}), row.get("scores", {})
        kept = [_as(kind, columns.get(name)) for name, kind in self.kept.items()]
        text = [row.get("text")] * self.text
        given = row.get("labels" if self.multilabel else "label")
        decided = [_listed(kind, row.get(name)) for name, kind in self.decided.items()]
        found = map(scores.get, self.labels)
        return [row["file"], row["line"], *kept, *text, given, *decided, *found, row.get("error")]

    def cells(self, row: dict[str, Any]) -> list[Any]:
        """As `values`, with several labels in one text."""
        first = 2 + len(self.kept) + self.text
        last = first + 1 + len(self.decided)
        values = self.values(row)
        for at in range(first, last):
            if isinstance(values[at], list):
                values[at] = self.separator.join(values[at])
        return values

    def notes(self, form: str) -> list[str]:
        """What a reader of the table must be told."""
        notes = [
            f"The input's column '{name}' is '{new}' in the output, which has a '{name}' of its own"
            for name, new in self._renamed().items()
            if name != new
        ]
        if form == "csv" and self.multilabel:
            notes.append(f"Several labels of a row are separated by {self.separator!r}")
        return notes

    def _ours(self) -> list[str]:
        label = "labels" if self.multilabel else "label"
        scores = [f"score_{name}" for name in self.labels]
        return [*["text"] * self.text, label, *self.decided, *scores, "error"]

    def _renamed(self) -> dict[str, str]:
        """The names of the input's columns, such that none is one of ours."""
        ours = {"file", "line", *self._ours()}
        taken = ours | self.kept.keys()
        names: dict[str, str] = {}
        for name in self.kept:
            new = name
            while new in (ours if new == name else taken):
                new = f"input_{new}"
            names[name] = new
            taken.add(new)
        return names


def survey(rows: Iterable[dict[str, Any]]) -> Layout:
    """Find the columns that hold all of some rows."""
    kept: dict[str, set[str]] = {}
    labels: tuple[str, ...] = ()
    multilabel = text = False
    decided: set[str] = set()
    for row in rows:
        decided.update(DECIDED.keys() & row.keys())
        for name, value in row.get("columns", {}).items():
            kept.setdefault(name, set()).update(_kinds(value))
        if not labels:
            labels = tuple(row.get("scores", ()))
            multilabel = "labels" in row
        text = text or "text" in row
    kinds = {name: _common(found) for name, found in kept.items()}
    said = {name: DECIDED[name] for name in DECIDED if name in decided}
    if multilabel and "decision" in said:
        said["decision"] = "texts"
    return Layout(kinds, labels, multilabel, _separator(labels), text, said)


def _separator(labels: Iterable[str]) -> str:
    candidates = chain("|;,/", map(chr, count(0x2500)))
    return next(sign for sign in candidates if not any(sign in label for label in labels))


def _kinds(value: Any) -> set[str]:
    if value is None:
        return set()
    if isinstance(value, bool):
        return {"truth"}
    if isinstance(value, int) and value in _WHOLE:
        return {"whole"} if value in _EXACT else {"whole", "inexact"}
    return {"number"} if isinstance(value, float) else {"text"}


def _common(kinds: set[str]) -> str:
    """One kind that holds values of all these exactly."""
    if kinds <= {"whole", "inexact"} and kinds:
        return "whole"
    if kinds and kinds <= {"whole", "number"}:
        return "number"
    return "truth" if kinds == {"truth"} else "text"


def _listed(kind: str, value: Any) -> Any:
    """A decision as its column has it: where several labels can hold, "abstain" is one as well."""
    return [value] if kind == "texts" and isinstance(value, str) else value


def _as(kind: str, value: Any) -> Any:
    if kind != "text" or value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
