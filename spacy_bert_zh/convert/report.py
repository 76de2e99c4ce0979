"""What was read, kept and rejected: report.json and report.md."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spacy_bert_zh.convert.spool import Spool
from spacy_bert_zh.markdown import render_table

# Above this, as in a tree with a file for each document, files are counted by folder.
MAX_FILES = 1000
# More labels than this don't help on a console.
MAX_LABELS = 20
_TABLES = {"written": "rows", "rejected": "rejects"}


def count_files(spool: Spool) -> dict[str, dict[str, int]]:
    """Count the rows kept and rejected of each file, or of each folder of very many files."""
    counts: dict[str, dict[str, int]] = {}
    many = any(spool.count(table, "DISTINCT file") > MAX_FILES for table in _TABLES.values())
    for name, table in _TABLES.items():
        for file, number in spool.counts(table, "file"):
            place = str(Path(file).parent) if many else file
            counts.setdefault(place, dict.fromkeys(_TABLES, 0))[name] += number
    return counts


def write_rejects(spool: Spool, path: Path) -> None:
    """Write a line of JSON for each rejected row."""
    with open(path, "w", encoding="utf-8") as lines:
        for file, line, reason, text in spool.rejects():
            entry = {"file": file, "line": line, "reason": reason, "text": text}
            lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write a report for programs and one for people."""
    as_json = json.dumps(report, ensure_ascii=False, indent=2)
    (folder / "report.json").write_text(as_json + "\n", "utf-8", "backslashreplace")
    as_markdown = "\n".join(_markdown(report))
    (folder / "report.md").write_text(as_markdown + "\n", "utf-8", "backslashreplace")


def summarize(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that the command prints."""
    yield from report["notes"]
    for split, rows in report["splits"].items():
        yield f"{split}: {rows['rows']:,} rows"
    yield from _labels(report)
    for reason, number in report["rejected"].items():
        yield f"rejected, {reason}: {number:,} rows"
    yield from remarks(report)
    yield from _missing(report)
    for warning in report["warnings"]:
        yield f"warning: {warning}"


def remarks(report: dict[str, Any]) -> Iterator[str]:
    """Yield what people must know of how rows were read."""
    if report["rows_with_broken_bytes"]:
        yield f"broken bytes, now U+FFFD or left out: {report['rows_with_broken_bytes']:,} rows"
    for remark, number in report["remarks"].items():
        yield f"{remark}: {number:,} rows"


def _labels(report: dict[str, Any]) -> Iterator[str]:
    if not report["labels"]:
        return
    yield f"{len(report['labels']):,} labels, which {_kind(report)}:"
    rows: Counter[str] = Counter()
    for split in report["splits"].values():
        rows.update(split["labels"])
    for label, number in rows.most_common(MAX_LABELS):
        yield f"  {label}: {number:,} rows"
    if len(rows) > MAX_LABELS:
        yield f"  and {len(rows) - MAX_LABELS:,} more in report.md"


def _kind(report: dict[str, Any]) -> str:
    return "don't exclude each other" if report["multilabel"] else "exclude each other"


def _missing(report: dict[str, Any]) -> Iterator[str]:
    for text, number in report["taken_as_missing"].items():
        yield (
            f"'{text}' was taken for a missing label in {number:,} rows: "
            f"--label-names '{text}={text}' makes it a label"
        )


def _markdown(report: dict[str, Any]) -> Iterator[str]:
    rows, lengths = report["rows"], report["lengths"]
    yield f"# Data report: {report['input']}\n"
    yield (
        f"{rows['read']:,} rows read = {rows['written']:,} written + "
        f"{rows['rejected']:,} rejected; each rejected row stands in rejects.jsonl.\n"
    )
    told = [*report["notes"], *remarks(report), *_missing(report), *report["warnings"]]
    yield from (f"- {line}" for line in told)
    yield from [""] if told else []
    yield from _split_table(report)
    yield "\n## Length\n"
    percentiles = list(lengths["characters"])
    yield render_table(
        ["", *(f"{percent} %" for percent in percentiles)],
        ([unit, *lengths[unit].values()] for unit in ("characters", "pieces")),
    )
    yield (
        f"\nA column is the length that so many per cent of the texts don't exceed. "
        f"{_long_texts(report['options'], lengths)}\n"
    )
    if report["rejected"]:
        yield "## Rejected\n"
        yield render_table(["reason", "rows"], report["rejected"].items())
        yield ""
    yield "## Files\n"
    files = report["files"].items()
    yield render_table(["file", *_TABLES], ([file, *counts.values()] for file, counts in files))


def _long_texts(options: dict[str, Any], lengths: dict[str, Any]) -> str:
    """What a BERT won't read."""
    config = options["config"]
    who = f"the BERT of {config}" if config else "a BERT of the default settings"
    if lengths["max_length"] is None:
        return f"All of every text is read by {who}."
    found = (
        f"{lengths['over_max_length']:.2%} of the texts have more than "
        f"{lengths['max_length']:,} word pieces ({lengths['tokenizer']})"
    )
    return f"{found}." if options["max_length"] else f"{found}: {who} reads no more of a text."


def _split_table(report: dict[str, Any]) -> Iterator[str]:
    splits = report["splits"]
    yield "## Rows by split" + (" and class\n" if report["labels"] else "\n")
    body: list[list[Any]] = [
        [label, *(split["labels"].get(label, 0) for split in splits.values())]
        for label in report["labels"]
    ]
    yield render_table(
        ["", *splits], [["rows", *(split["rows"] for split in splits.values())], *body]
    )
    if report["imbalance"]:
        yield (
            f"\n{len(body)} labels, which {_kind(report)}. The most frequent one in train has "
            f"{report['imbalance']:.1f} times the rows of the least frequent."
        )
