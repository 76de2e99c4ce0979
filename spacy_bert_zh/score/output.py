"""The rows of all chunks as one file: JSON lines, CSV or Parquet."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.score.layout import Layout, survey

ENDINGS = {
    "jsonl": ("", ".jsonl", ".ndjson", ".json", ".txt"),
    "csv": (".csv",),
    "parquet": (".parquet",),
}

ROWS, BYTES = 20_000, 32_000_000
"""What closes a group of rows in Parquet."""

# Excel takes full-width signs for formulas, too.
_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


@dataclass
class Summary:
    """What was written.

    Attributes:
        rows: How many.
        errors: How many of them have an error in place of labels.
        first: The first of these: file, line and error.
        notes: What isn't seen in the output by itself.
    """

    rows: int = 0
    errors: int = 0
    first: str = ""
    notes: list[str] = field(default_factory=list)

    def count(self, row: dict[str, Any]) -> None:
        """Count a row with an error."""
        self.errors += 1
        said = f"{row['file']}, line {row['line']}: {row['error']}"
        self.first = self.first or " ".join(said.split())


def choose_format(name: str | None, output: Path) -> str:
    """The format of the output, as named, or else by the ending of its file.

    Raises:
        BertZhError: It is none of ours, or a package for it is missing.
    """
    if name is not None and name.lower() not in ENDINGS:
        raise BertZhError(f"--output-format {name}: choose one of {', '.join(ENDINGS)}")
    suffix = output.suffix.lower()
    found = name.lower() if name else next((f for f, e in ENDINGS.items() if suffix in e), None)
    if found is None:
        raise BertZhError(
            f"{output} ends in {suffix}: end it in .jsonl, .csv or .parquet, or say with "
            f"--output-format which of {', '.join(ENDINGS)} it is"
        )
    if found == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise missing_extra("pyarrow", "convert", "--output-format parquet") from None
    return found


def write_output(form: str, lines: Callable[[], Iterable[bytes]], path: Path) -> Summary:
    """Write rows into one file.

    Args:
        form: "jsonl" as the rows are; "csv" for spreadsheets: with a byte order mark, and an
            apostrophe before what they would run as a formula; "parquet".
        lines: Called for a pass over the rows, each a line of JSON.
        path: The file.
    """
    summary = Summary()
    if form == "jsonl":
        with open(path, "wb") as file:
            for line in lines():
                file.write(line)
                summary.rows += 1
                if b'"error":' in line and "error" in (row := json.loads(line)):
                    summary.count(row)
        return summary
    layout = survey(map(json.loads, lines()))
    summary.notes += layout.notes(form)
    rows = _counted(lines(), summary)
    if form == "csv":
        _write_csv(layout, rows, path)
    else:
        _write_parquet(layout, rows, path)
    return summary


def _counted(lines: Iterable[bytes], summary: Summary) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the rows with the bytes that they take."""
    for line in lines:
        row = json.loads(line)
        summary.rows += 1
        if "error" in row:
            summary.count(row)
        yield row, len(line)


def _write_csv(layout: Layout, rows: Iterable[tuple[dict[str, Any], int]], path: Path) -> None:
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(map(_cell, layout.names()))
        for row, _ in rows:
            writer.writerow(map(_cell, layout.cells(row)))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _write_parquet(layout: Layout, rows: Iterable[tuple[dict[str, Any], int]], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    fields = zip(layout.names(), layout.kinds(), strict=True)
    schema = pa.schema([pa.field(name, _type(kind)) for name, kind in fields])
    with parquet.ParquetWriter(path, schema) as writer:
        for batch in _batches(rows):
            columns = zip(*(layout.values(row) for row in batch), strict=True)
            arrays = [
                pa.array(column, type) for column, type in zip(columns, schema.types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _type(kind: str) -> Any:
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "whole": pa.int64(),
        "number": pa.float64(),
        "truth": pa.bool_(),
    }
    return types[kind]


def _batches(rows: Iterable[tuple[dict[str, Any], int]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    taken = 0
    for row, size in rows:
        batch.append(row)
        taken += size
        if len(batch) == ROWS or taken >= BYTES:
            yield batch
            batch, taken = [], 0
    if batch:
        yield batch
