"""The rows and labels of each split, counted and checked."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import SPLITS, Spool
from spacy_bert_zh.errors import BertZhError

# More is a wrong column rather than a classification, and would fill memory.
MAX_LABELS = 10_000


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
    return bool(options.multilabel or options.label_separator) or any(
        len(json.loads(names or "[0]")) != 1 for names, _ in spool.counts("rows", "labels")
    )


def imbalance(splits: dict[str, dict[str, Any]]) -> float | None:
    """How many times more rows in train the most frequent label has than the least."""
    sizes = splits["train"]["labels"].values()
    return max(sizes) / min(sizes) if sizes else None
