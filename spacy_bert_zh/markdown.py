"""Tables in Markdown, of whatever labels and files are called."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from wasabi import MarkdownRenderer


def render_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""Make a table whose first column is text and whose others are numbers.

    Examples:
        >>> print(render_table(["", "rows"], [["体育|足球", 1200]]))
        |  | rows |
        | --- | ---: |
        | 体育\|足球 | 1,200 |
    """
    aligns: list[Any] = ["l", *["r"] * (len(header) - 1)]
    cells = [[_cell(value) for value in row] for row in (header, *rows)]
    return MarkdownRenderer().table(cells[1:], cells[0], aligns)


def _cell(value: Any) -> str:
    # wasabi takes what it gets: a line in a cell, or a break, would begin another one.
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"(\\*)\|", r"\1\1\\|", " ".join(str(value).splitlines()))
