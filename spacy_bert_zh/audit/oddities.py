"""What is odd about texts: some are like no other, and some words give a label away."""

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.characters import word_cutter
from spacy_bert_zh.folds import Rows

NEIGHBOURS = 5
_COMMON = 500  # n-grams of more rows than these tell no neighbours apart
_CHUNK = 1_000
# A word that gives a label away: in so many rows, nearly all of them of one label.
_SUPPORT, _PRECISION = 20, 0.98
_CHARACTERS = 500


def nearness(features: Any) -> NDArray[np.float64]:
    """How near each row's nearest others are, on average, from 0 to 1.

    Args:
        features: TF-IDF; sparse (rows, n-grams), rows of length 1.

    Returns:
        The mean cosine similarity to the nearest `NEIGHBOURS`, by n-grams that fewer than
        `_COMMON` rows have; float (rows,).
    """
    rows = features.shape[0]
    most = max(_COMMON, 2)
    rare = features[:, np.bincount(features.indices, minlength=features.shape[1]) <= most].tocsr()
    near = np.zeros(rows)
    count = min(NEIGHBOURS, rows - 1)
    for start in range(0, rows, _CHUNK):
        alike = (rare[start : start + _CHUNK] @ rare.T).tocsr()
        for i in range(alike.shape[0]):
            one = slice(alike.indptr[i], alike.indptr[i + 1])
            values = alike.data[one][alike.indices[one] != start + i]
            if len(values) > count:
                values = np.partition(values, len(values) - count)[-count:]
            near[start + i] = values.sum() / max(count, 1)
    return near


def shortcuts(rows: Rows) -> list[dict[str, Any]]:
    """Find words by jieba that alone tell a label.

    Returns:
        ``word``, ``label``, ``rows`` that have the word, the share of these with the label as
        ``precision``, and of the label's rows with the word as ``coverage``; largest coverage
        first.

    Raises:
        BertZhError: jieba isn't installed.
    """
    cutter = word_cutter("convert", "audit")
    counts: defaultdict[str, NDArray[np.int64]]
    counts = defaultdict(lambda: np.zeros(len(rows.labels) + 1, dtype=np.int64))
    for text, gold in zip(rows.texts, rows.gold, strict=True):
        marks = np.append(gold, True)
        for word in set(cutter.cut(text[:_CHARACTERS])):
            if not word.isspace():
                counts[word] += marks
    of_label = rows.gold.sum(axis=0)
    found = [
        {
            "word": word,
            "label": rows.labels[best],
            "rows": int(count[-1]),
            "precision": float(count[best] / count[-1]),
            "coverage": float(count[best] / of_label[best]),
        }
        for word, count in counts.items()
        if count[-1] >= _SUPPORT
        and count[best := int(count[:-1].argmax())] >= _PRECISION * count[-1]
        and of_label[best] < _PRECISION * len(rows.texts)
    ]
    return sorted(found, key=lambda one: (-one["coverage"], one["word"]))
