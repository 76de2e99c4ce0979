"""Two rankings of the same texts as one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from spacy_bert_zh.retrieve.words import Scored

By = Literal["words", "vectors", "both"]
BY: tuple[By, ...] = ("words", "vectors", "both")

DEPTH = 100
"""Entries that are looked at in each ranking."""
_SMOOTH = 60
"""How little the first places are worth more than the next: the paper's k."""


@dataclass(frozen=True)
class Ranked:
    """What was found for a text.

    Attributes:
        hits: Entries and their scores, the best first.
        words: BM25 of the entries that share words with it.
        vectors: Cosines of the nearest entries.
    """

    hits: Scored
    words: dict[int, float]
    vectors: dict[int, float]


def rank(words: Scored, vectors: Scored, by: By) -> Ranked:
    """Rank by one of two lists of entries or by both."""
    hits = {"words": words, "vectors": vectors}.get(by)
    if hits is None:
        hits = fuse([words, vectors])
    return Ranked(hits[:DEPTH], dict(words), dict(vectors))


def fuse(lists: Iterable[Scored]) -> Scored:
    """Add up 1 / (60 + place) over rankings (reciprocal rank fusion, Cormack et al. 2009, eq. 1).

    Of entries with the same sum the one comes first that an earlier list has.

    Examples:
        >>> [place for place, score in fuse([[(7, 9.5), (3, 4.0)], [(3, 0.8), (5, 0.7)]])]
        [3, 7, 5]
    """
    sums: dict[int, float] = {}
    for scored in lists:
        for place, (entry, _) in enumerate(scored, 1):
            sums[entry] = sums.get(entry, 0.0) + 1 / (_SMOOTH + place)
    return sorted(sums.items(), key=lambda pair: -pair[1])


def best_of_each(found: Iterable[tuple[int, float]], owners: Sequence[int]) -> Scored:
    """Of texts, the best first, the entries that they belong to, each once."""
    best: dict[int, float] = {}
    for text, score in found:
        best.setdefault(owners[text], score)
    return list(best.items())
