"""What the readers yield."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A text with its labels, or None for labels where the corpus has none.

    Args:
        line: Where it starts in its file.
        text: As it stands there.
        labels: Those given to it.
        columns: What goes along with it, by the option `keep`; None where the format has no
            columns.
        remark: What had to be decided to read it, in the same words for every such row: the
            report counts them.
    """

    line: int
    text: str
    labels: tuple[str, ...] | None
    columns: Mapping[str, Any] | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that can't be used.

    Args:
        line: Where the row starts in its file.
        reason: What is wrong, in the same words for every such row: the report counts them.
        detail: What is particular to this row.
        text: The row, or its beginning.
        columns: As in `Row`, where they could be read.
    """

    line: int
    reason: str
    detail: str = ""
    text: str = ""
    columns: Mapping[str, Any] | None = None
