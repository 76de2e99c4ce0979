"""What the readers yield."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A text with its labels, or None for labels where the corpus has none.

    Args:
        line: Where the row starts in its file.
        text: The text, as it stands there.
        labels: The labels.
        remark: What had to be decided to read it, in the same words for every such row: the
            report counts them.
    """

    line: int
    text: str
    labels: tuple[str, ...] | None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that can't be used.

    Args:
        line: Where the row starts in its file.
        reason: What is wrong, in the same words for every such row: the report counts them.
        detail: What is particular to this row.
        text: The row, or its beginning.
    """

    line: int
    reason: str
    detail: str = ""
    text: str = ""
