"""A pool of texts, read once from end to end; what is worth choosing among stays in memory."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from spacy.util import minibatch
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import (
    Options as ReadingOptions,
)
from spacy_bert_zh.reading import (
    Reject,
    Source,
    TextOptions,
    fault,
    get_format,
    make_cleaner,
    size,
)
from spacy_bert_zh.reading.overlap import Overlap
from spacy_bert_zh.select.options import Options

BATCH = 1_024


@dataclass(frozen=True, order=True)
class Candidate:
    """A text that may be selected.

    Attributes:
        unsureness: Why it was kept, from 0 to 1, or by chance.
        number: Its place in the pool, counted downwards: of equals the earlier one is better.
        text: The text, cleaned as `convert` cleans.
        file: Where it comes from.
        line: Where there.
        scores: Of the labels; shape (labels,).
    """

    unsureness: float
    number: int
    text: str = field(compare=False)
    file: str = field(compare=False)
    line: int = field(compare=False)
    scores: NDArray[np.float64] = field(compare=False)


Judge = Callable[[list[str]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Of texts: their scores, (texts, labels), and how much they are worth, (texts,)."""


def read_pool(pool: Path, options: Options, counts: Counter[str]) -> Iterator[tuple[str, str, int]]:
    """Yield text, file and line of each row that can be used; the others are counted."""
    given = {entry.name: getattr(options, entry.name) for entry in fields(TextOptions)}
    reading = ReadingOptions(**given, unlabelled=True)
    clean, form = make_cleaner(reading), get_format(options.format)
    files = list(form.files(pool))
    if not files:
        raise BertZhError(f"{pool} has no file of the format {options.format}")
    total = sum(size(file) for file in files)
    with tqdm(total=total, unit="B", unit_scale=True, desc=pool.name, disable=None) as bar:
        for file in files:
            for row in form.read(Source(file, pool, options.encoding, bar.update), reading):
                counts["rows"] += 1
                reason = row.reason if isinstance(row, Reject) else None
                text = "" if isinstance(row, Reject) else clean(row.text)
                if reason := reason or fault(text, None):
                    counts[f"rejected: {reason}"] += 1
                else:
                    yield text, file.name, row.line


def gather(
    rows: Iterable[tuple[str, str, int]],
    judge: Judge,
    most: int,
    labelled: Overlap,
    counts: Counter[str],
) -> list[Candidate]:
    """Keep the rows that are worth most, each text once, the best first.

    Args:
        rows: Text, file and line.
        judge: What texts are worth.
        most: How many to keep.
        labelled: Texts to pass over.
        counts: Gets how many rows were passed over.
    """
    kept: list[Candidate] = []
    known: set[str] = set()
    numbers = count()
    for batch in minibatch(_new(rows, labelled, counts), BATCH):
        scores, worth = judge([text for text, _, _ in batch])
        for (text, file, line), row, value in zip(batch, scores, worth.tolist(), strict=True):
            candidate = Candidate(value, -next(numbers), text, file, line, row)
            if text in known:
                counts["repeated"] += 1
            elif len(kept) < most:
                heapq.heappush(kept, candidate)
                known.add(text)
            elif kept[0] < candidate:
                known.discard(heapq.heapreplace(kept, candidate).text)
                known.add(text)
    return sorted(kept, reverse=True)


def _new(
    rows: Iterable[tuple[str, str, int]], labelled: Overlap, counts: Counter[str]
) -> Iterator[tuple[str, str, int]]:
    for row in rows:
        if len(labelled) and labelled.find(row[0]):
            counts["labelled already"] += 1
        else:
            yield row
