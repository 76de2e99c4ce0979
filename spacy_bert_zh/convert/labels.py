"""The rows and labels of each split, counted and checked."""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from spacy_bert_zh.convert.naming import Naming, alike, listed
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import SPLITS, Spool
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import NO_LABEL

# More is a wrong column rather than a classification, and would fill memory.
MAX_LABELS = 10_000
# A label with fewer rows in train is warned of.
FEW = 10
# From so many labels on, and with hardly more rows than labels, the column is a wrong one.
_MANY = 50
_ROWS_A_LABEL = 1.25
# What may stand between labels that were written into one.
_BETWEEN = ",，、;；|｜/#+& \t"
# Of these, one part that is a label is enough to say so: few names of classes have them.
_SURELY_BETWEEN = ",，、;；|｜"


def settle_labels(spool: Spool, naming: Naming, options: Options) -> list[str]:
    """Decide what needs all labels of the corpus; return what was decided, in words."""
    words = naming.settle(spool)
    sizes = Counter[int]()
    for names, number in spool.counts("rows", "labels"):
        sizes[len(json.loads(names))] += number
    labels = {name for names, _ in spool.counts("rows", "labels") for name in json.loads(names)}
    if labels == {"0", "1"} and sizes[2] and not (options.label_columns or options.label_names):
        raise BertZhError(
            f"the labels are 0 and 1, and {sizes[2]:,} rows have both: vectors of 0 and 1 don't "
            "name labels; write a column for each label (--label-columns) or the labels' names, "
            "or name both with --label-names 0=…,1=…"
        )
    if max(sizes, default=0) <= 1:
        _check_repeated(labels, sizes.total(), options)
        if not options.several:
            # Tools write an empty list for a text that nobody has labelled, too.
            detail = "but an empty list: with --multilabel it says that none of them holds"
            spool.reject_without_labels(NO_LABEL, detail)
        if options.label_separator:
            words.append(f"--label-separator: no label has '{options.label_separator}' in it")
        elif options.multilabel and (word := _unsplit(labels)):
            words.append(word)
    elif not options.several:
        several = sizes.total() - sizes[1]
        words.append(
            f"{several:,} of {sizes.total():,} rows have several labels or none: labels don't "
            "exclude each other"
        )
    return words


def _check_repeated(labels: Collection[str], rows: int, options: Options) -> None:
    """Refuse labels that hardly any two rows share: they are identifiers, or the texts.

    Who has said where the labels are is believed.
    """
    if options.label_column or options.label_first is not None:
        return
    if len(labels) < _MANY or len(labels) * _ROWS_A_LABEL < rows:
        return
    way = "choose the column of the labels with --label-column"
    if options.format == "thucnews":
        way = "say where the labels are with --label-first or --label-last"
    raise BertZhError(
        f"{len(labels):,} different labels in {rows:,} rows, e.g. {min(labels)[:50]!r}, are no "
        f"classes: {way}"
    )


def count_splits(spool: Spool) -> dict[str, dict[str, Any]]:
    """Count the rows of each split that has any, and how many have each label."""
    rows: Counter[int] = Counter()
    labels: dict[int, Counter[str]] = {}
    for split, names, number in spool.counts("rows", "split", "labels"):
        rows[split] += number
        counter = labels.setdefault(split, Counter())
        for name in json.loads(names or "[]"):
            counter[name] += number
    return {
        SPLITS[split]: {"rows": rows[split], "labels": dict(sorted(labels[split].items()))}
        for split in sorted(rows)
    }


def check_splits(
    splits: dict[str, dict[str, Any]], spool: Spool, source: Path, options: Options
) -> None:
    """Refuse a corpus without usable rows, and a split that stays empty."""
    if not splits:
        reasons = ", ".join(
            f"{number} {reason}" for reason, number in spool.counts("rejects", "reason")
        )
        raise BertZhError(f"{source} has no row that can be used: {reasons or 'it is empty'}")
    given = (source, options.dev, options.test)
    for name, share, path in zip(SPLITS, options.shares, given, strict=True):
        if name in splits or not (share or path):
            continue
        if path:
            raise BertZhError(f"no row is left for {name} of {path}: all were rejected")
        raise BertZhError(
            f"no row falls into {name} with a share of {share}: the corpus is too small for "
            "it; raise that share in --split, or make it 0"
        )


def check_labels(splits: dict[str, dict[str, Any]], options: Options) -> list[str]:
    """Return the labels, sorted, when something can be learnt and measured with them."""
    labels = sorted(splits["train"]["labels"])
    if len(labels) < 2 and not options.multilabel:
        raise BertZhError(
            f"train has only one class, {labels}: nothing can be learnt from it; choose another "
            "column with --label-column"
        )
    if len(labels) > MAX_LABELS:
        raise BertZhError(
            f"train has {len(labels):,} different labels, e.g. {labels[0][:50]!r}: choose the "
            "column of the labels with --label-column"
        )
    for name in ("dev", "test"):
        unseen = splits.get(name, {"labels": {}})["labels"].keys() - set(labels)
        if unseen:
            raise BertZhError(
                f"labels of {name} that train doesn't have: {', '.join(sorted(unseen)[:10])}; "
                "add rows of them to train, or split with --split-by stratified"
            )
    return labels


def is_multilabel(spool: Spool, options: Options) -> bool:
    """Whether labels don't exclude each other: as the options say, or as some row shows."""
    return options.several or any(
        len(json.loads(names or "[0]")) != 1 for names, _ in spool.counts("rows", "labels")
    )


def warnings(splits: dict[str, dict[str, Any]]) -> list[str]:
    """What is odd about the labels, in words."""
    train: dict[str, int] = splits["train"]["labels"]
    found = []
    if few := [f"{label} ({number})" for label, number in train.items() if number < FEW]:
        found.append(f"labels with fewer than {FEW} rows in train: {listed(few)}")
    for split in splits:
        if absent := sorted(train.keys() - splits[split]["labels"].keys()):
            found.append(
                f"labels that {split} has no row of, so they can't be measured: {listed(absent)}"
            )
    for group in alike(train):
        way = f"--label-names '{group[-1]}={group[0]}' makes them one"
        found.append(f"labels that may be the same: {listed(group)}; {way}")
    for label, separator in _joined(train):
        found.append(
            f"'{label}' may be several labels: --label-separator '{separator}' splits them"
        )
    return found


def _unsplit(labels: Collection[str]) -> str | None:
    """A word about labels that look like several, where every row has only one."""
    for separator in _BETWEEN:
        if found := sorted(label for label in labels if separator in label.strip(separator)):
            return (
                f"--multilabel: no row has several labels, but {listed(found, 3)} may be several: "
                f"--label-separator '{separator}' splits them"
            )
    return None


def _joined(labels: Collection[str]) -> Iterator[tuple[str, str]]:
    """Labels that seem made of other ones, and what stands between: the first for each sign."""
    for separator in _BETWEEN:
        for label in labels:
            parts = [part.strip() for part in label.split(separator)]
            enough = any if separator in _SURELY_BETWEEN else all
            if len(parts) > 1 and enough(part in labels for part in parts):
                yield label, separator
                break


def imbalance(splits: dict[str, dict[str, Any]]) -> float | None:
    """How many times more rows in train the most frequent label has than the least."""
    sizes = splits["train"]["labels"].values()
    return max(sizes) / min(sizes) if sizes else None
