"""A person's decisions about labels, kept by text: they outlive a version of the source file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import Closed, checked, parse_json, read_text, shorten_text

MOST = 1 << 28
"""Bytes of a file of fixes: some hundred thousand long texts."""


class Fix(Closed):
    """What to do with every row of a text.

    Attributes:
        text: The text, cleaned or as it stands in the source.
        action: What was decided; None as long as nothing is.
        label: The label or labels after "relabel"; otherwise a proposal that nobody follows.
        given: As `audit` writes it for the person who decides, like all below but the last two.
        annotators: Who decided, as `label` writes it.
        time: When, as `label` writes it.
    """

    text: str
    action: Literal["relabel", "drop", "keep"] | None = None
    label: str | list[str] | None = None
    given: str | list[str] | None = None
    why: str | None = None
    sure: float | None = None
    file: str | None = None
    line: int | None = None
    annotators: list[str] | None = None
    time: str | None = None

    @model_validator(mode="after")
    def _has_its_label(self) -> "Fix":
        if self.action == "relabel" and self.label in (None, ""):
            raise ValueError("'relabel' needs a label")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels after "relabel", sorted."""
        if isinstance(self.label, str):
            return (self.label,)
        return tuple(sorted(self.label or ()))

    @property
    def decision(self) -> tuple[str | None, tuple[str, ...]]:
        """What is decided: two lines of one text may not differ in it."""
        return self.action, self.labels if self.action == "relabel" else ()


class Fixes:
    """The decisions of a file in JSON lines.

    Args:
        path: The file; a line is a `Fix`. Lines without an action decide nothing.
        clean: What is done to texts before they are compared.

    Attributes:
        undecided: Lines without an action.

    Raises:
        BertZhError: A line is no `Fix`, or two lines contradict each other.
    """

    def __init__(self, path: Path, clean: Callable[[str], str] = str) -> None:
        self.undecided = 0
        self._decided: dict[str, Fix] = {}
        first: dict[str, int] = {}
        for line, fix in _read(path):
            if fix.action is None:
                self.undecided += 1
                continue
            text = clean(fix.text)
            known = self._decided.setdefault(text, fix)
            if known.decision != fix.decision:
                raise BertZhError(
                    f"{path}: lines {first[text]} and {line} decide differently about "
                    f"'{shorten_text(text, 50)}': leave one of them out"
                )
            first.setdefault(text, line)

    def __len__(self) -> int:
        return len(self._decided)

    def of(self, text: str) -> Fix | None:
        """What was decided about a cleaned text."""
        return self._decided.get(text)


def _read(path: Path) -> Iterator[tuple[int, Fix]]:
    for number, line in enumerate(read_text(path, MOST).split("\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield number, checked(Fix, parse_json(line, where), where)
