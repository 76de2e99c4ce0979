"""A pool of texts, read once from end to end; what is worth choosing among stays in memory."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray
from spacy.util import minibatch

from spacy_bert_zh.reading.overlap import Overlap

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


Assess = Callable[[list[str]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Of texts: their scores, (texts, labels), and how much they are worth, (texts,)."""


def gather(
    rows: Iterable[tuple[str, str, int]],
    assess: Assess,
    most: int,
    labelled: Overlap,
    counts: Counter[str],
) -> list[Candidate]:
    """Keep the rows that are worth most, each text once, the best first.

    Args:
        rows: Text, file and line.
        assess: Tells what texts are worth.
        most: How many to keep.
        labelled: Texts to pass over.
        counts: Gets how many rows were passed over.
    """
    kept: list[Candidate] = []
    known: set[str] = set()
    numbers = count()
    for batch in minibatch(_new(rows, labelled, counts), BATCH):
        scores, worth = assess([text for text, _, _ in batch])
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
