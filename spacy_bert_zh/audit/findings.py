"""What is odd about a corpus: everything that an audit tells."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.audit.dynamics import EPOCHS, Dynamics, follow
from spacy_bert_zh.audit.oddities import nearness, shortcuts
from spacy_bert_zh.audit.options import Options
from spacy_bert_zh.audit.scores import judge, make_features
from spacy_bert_zh.audit.wrong import agreement, estimate_wrong, rank
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.folds import Rows, near_groups, read_complete
from spacy_bert_zh.reading.duplicates import Pairs, near_pairs
from spacy_bert_zh.reading.fixes import Fixes

FEW = 10
"""A label with fewer rows can hardly be learnt."""
ACCIDENT = 3
"""With fewer than these and others having a hundred times as many, it is hardly meant."""
SHOWN = 50
"""Hard and ambiguous rows among the findings; the map has all."""
FAR = 0.05
"""A text whose nearest others are less alike than this is like none."""


class Found(NamedTuple):
    """What an audit has found.

    Attributes:
        findings: The content of ``audit.json``.
        wrong: Rows that may be wrong, the likeliest first.
        learning: All rows, with where they stand on the map.
    """

    findings: dict[str, Any]
    wrong: list[dict[str, Any]]
    learning: list[dict[str, Any]]


def look(rows: Rows, fixes: Fixes | None, options: Options) -> Found:
    """Look through a corpus for all that is odd about it."""
    pairs = near_pairs(rows.texts)
    features = make_features(rows.texts)
    if options.model:
        scores = read_complete(options.model, rows)
    else:
        scores = judge(rows, features, near_groups(rows.texts, rows.links, pairs), options)
    sure, better = rank(rows.gold, scores, rows.exclusive)
    decided = np.array([bool(fixes and fixes.of(text)) for text in rows.texts])
    estimate, confused = estimate_wrong(rows, scores)
    twins = _contradictory(rows, pairs, decided)
    near = nearness(features)
    far = [int(i) for i in np.argsort(near, kind="stable") if near[i] < FAR and not decided[i]]
    dynamics = follow(rows, features, options.seed)
    learning = _learning(rows, dynamics)
    undecided = [row for row, is_decided in zip(learning, decided, strict=True) if not is_decided]
    found = {
        "corpus": {
            "rows": len(rows.texts),
            "labels": rows.labels,
            "exclusive": rows.exclusive,
            "decided": int(decided.sum()),
        },
        "model": options.model.resolve().name if options.model else None,
        "vectors": options.vectors,
        "agreed": agreement(rows.gold, scores, rows.exclusive),
        "estimated_wrong": estimate,
        "confused": confused,
        "few": _few(rows),
        "contradictory": twins,
        "outliers": [{**_row(rows, i), "near": float(near[i])} for i in far],
        "leaks": _leaks(rows, options.dev) if options.dev else None,
        "shortcuts": shortcuts(rows),
        "learning": {
            "epochs": EPOCHS,
            "hard": sorted(undecided, key=lambda row: row["confidence"])[:SHOWN],
            "ambiguous": sorted(undecided, key=lambda row: -row["variability"])[:SHOWN],
        },
    }
    twin_rows = {pair[f"row_{side}"] for pair in twins for side in ("a", "b")}
    return Found(found, _wrong(rows, sure, better, decided, twin_rows), learning)


def _wrong(
    rows: Rows,
    sure: NDArray[np.float64],
    better: NDArray[np.bool_],
    decided: NDArray[np.bool_],
    twins: set[int],
) -> list[dict[str, Any]]:
    """Rows whose given label is not the likeliest, or that a near-duplicate contradicts."""
    found = []
    for i in map(int, np.argsort(-sure, kind="stable")):
        why = [
            *["scored as the other label by a model that hasn't seen it"] * bool(sure[i] > 0.5),
            *["a near-duplicate has other labels"] * (i in twins),
        ]
        if why and not decided[i]:
            given = {"given": rows.names(rows.gold[i]), "label": rows.names(better[i])}
            row = {"text": rows.texts[i], "action": None, **given, "why": "; ".join(why)}
            found.append({**row, "sure": round(float(sure[i]), 4), **_place(rows, i)})
    return found


def _learning(rows: Rows, dynamics: Dynamics) -> list[dict[str, Any]]:
    return [
        {
            **_row(rows, i),
            "confidence": round(float(dynamics.confidence[i]), 4),
            "variability": round(float(dynamics.variability[i]), 4),
        }
        for i in range(len(rows.texts))
    ]


def _row(rows: Rows, i: int) -> dict[str, Any]:
    return {"text": rows.texts[i], "given": rows.names(rows.gold[i]), **_place(rows, i)}


def _place(rows: Rows, i: int) -> dict[str, Any]:
    place = rows.places[i]
    return {"file": place[0], "line": place[1]} if place else {}


def _few(rows: Rows) -> list[dict[str, Any]]:
    counts = rows.gold.sum(axis=0)
    return [
        {
            "label": rows.labels[i],
            "rows": int(counts[i]),
            "accident": bool(counts[i] < ACCIDENT and counts.max() >= 100 * counts[i]),
        }
        for i in np.argsort(counts, kind="stable")
        if counts[i] < FEW
    ]


def _contradictory(rows: Rows, pairs: Pairs, decided: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Near-duplicates with different labels, the most alike first."""
    first, second, alike = pairs
    differ = (rows.gold[first] != rows.gold[second]).any(axis=1)
    open_ = differ & ~(decided[first] & decided[second])
    return [
        {
            "alike": round(float(alike[i]), 4),
            "row_a": int(first[i]),
            "row_b": int(second[i]),
            "a": _row(rows, first[i]),
            "b": _row(rows, second[i]),
        }
        for i in np.flatnonzero(open_)[np.argsort(-alike[open_], kind="stable")]
    ]


def _leaks(rows: Rows, dev: Path) -> list[dict[str, Any]]:
    """Rows with a near-duplicate in the texts that a model will be judged by."""
    others = _read_texts(dev)
    count = len(rows.texts)
    first, second, alike = near_pairs([*rows.texts, *others])
    across = (first < count) & (second >= count)
    order = np.flatnonzero(across)[np.argsort(-alike[across], kind="stable")]
    return [
        {
            **_row(rows, first[i]),
            "dev": others[second[i] - count],
            "alike": round(float(alike[i]), 4),
        }
        for i in order
    ]


def _read_texts(corpus: Path) -> list[str]:
    """The texts of a corpus, labelled or not."""
    import spacy

    texts = [doc.text for doc in read_shards(spacy.blank("zh"), corpus)] if corpus.exists() else []
    if not texts:
        raise BertZhError(f"--dev {corpus} holds no text in .spacy files: see 'convert'")
    return texts
