"""A whole table in one JSON object: pandas' orients, lists by column, rows in an envelope."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Record = Mapping[str, Any]
HasText = Callable[[Record], bool]


def rows_within(value: Record, has_text: HasText) -> Iterator[Record] | None:
    """Take a table in one object apart into its rows, or tell that it is a row itself.

    Args:
        value: The object.
        has_text: Whether the keys of an object have a column of text among them.
    """
    inner = list(value.values())
    if not inner:
        return None
    if value.keys() <= {"columns", "index", "data"} and isinstance(value.get("columns"), list):
        return _of_lists(value["columns"], value.get("data"))
    rows = value.get("rows")
    if isinstance(rows, list) and rows and all(map(_in_viewer, rows)):
        return (row["row"] for row in rows)
    if value.keys() == {"schema", "data"} and isinstance(value["data"], list):
        return iter([row for row in value["data"] if isinstance(row, dict)])
    if all(isinstance(column, dict) for column in inner):
        if has_text(value):
            return _of_columns(value)
        return iter(inner) if has_text(inner[0]) else None
    if has_text(value):
        if all(isinstance(column, list) for column in inner):
            return _of_lists(list(value), zip(*inner, strict=False)) if _even(inner) else None
        return None
    lists = [rows for rows in inner if isinstance(rows, list) and rows]
    if len(lists) == 1 and all(isinstance(row, dict) for row in lists[0]):
        return iter(lists[0]) if has_text(lists[0][0]) else None
    return None


def _in_viewer(row: Any) -> bool:
    """Whether it is a row in the envelope of Hugging Face's dataset viewer."""
    return isinstance(row, dict) and isinstance(row.get("row"), dict)


def _of_lists(names: list[Any], rows: Any) -> Iterator[Record] | None:
    if not all(isinstance(name, str) for name in names):
        return None
    return (dict(zip(names, row, strict=False)) for row in rows or [])


def _of_columns(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[Record]:
    for row in next(iter(columns.values())):
        yield {name: column.get(row) for name, column in columns.items()}


def _even(columns: list[list[Any]]) -> bool:
    return len({len(column) for column in columns}) == 1
