"""Word pieces by joining the neighbours that stand together most often."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

# Longer words are unknown to BERT's tokenizer, whatever their pieces.
LONGEST = 100
# A join that helps one word once only takes the place of a character.
LEAST = 2

Pair = tuple[str, str]


def ranked(counts: Mapping[str, int]) -> list[str]:
    """What is counted, the most frequent first; of equally frequent ones, by code point."""
    return sorted(counts, key=lambda name: (-counts[name], name))


def join_pieces(words: Mapping[str, int], most: int) -> list[str]:
    """Word pieces by byte-pair encoding (Sennrich et al. 2016), the same for the same counts.

    Args:
        words: How often each word occurs.
        most: Joined pieces, at most.

    Returns:
        All characters, those within a word with ``##`` before them, then the joined pieces.
    """
    cut = {word: _characters(word) for word in sorted(words)}
    pieces = dict.fromkeys(sorted({piece for parts in cut.values() for piece in parts}))
    joins = _Joins({w: p for w, p in cut.items() if 1 < len(p) <= LONGEST}, words)
    characters = len(pieces)
    while len(pieces) < characters + most and (joined := joins.join()):
        pieces[joined] = None
    return list(pieces)


def _characters(word: str) -> list[str]:
    return [word[0], *(f"##{character}" for character in word[1:])]


class _Joins:
    """Words in pieces, and how often each two neighbours stand together."""

    def __init__(self, cut: dict[str, list[str]], words: Mapping[str, int]) -> None:
        self._cut = cut
        self._words = words
        self._counts: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, set[str]] = defaultdict(set)
        for word in cut:
            self._count(word, words[word])
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def join(self) -> str | None:
        """Join the most frequent neighbours everywhere; the piece, None if all are rare."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            if self._counts[pair] != -negative:
                continue  # it has changed since, and stands elsewhere
            if -negative < LEAST:
                return None
            self._join(pair)
            return _joined(pair)
        return None

    def _join(self, pair: Pair) -> None:
        changed: set[Pair] = set()
        for word in self._places.pop(pair):
            changed.update(pairwise(self._cut[word]))
            self._count(word, -self._words[word])
            self._cut[word] = _with_joined(self._cut[word], pair)
            self._count(word, self._words[word])
            changed.update(pairwise(self._cut[word]))
        for other in changed:
            heapq.heappush(self._heap, (-self._counts[other], other))

    def _count(self, word: str, times: int) -> None:
        for pair in pairwise(self._cut[word]):
            self._counts[pair] += times
            self._places[pair].add(word)


def _joined(pair: Pair) -> str:
    return pair[0] + pair[1].removeprefix("##")


def _with_joined(pieces: list[str], pair: Pair) -> list[str]:
    found: list[str] = []
    for piece in pieces:
        if found and (found[-1], piece) == pair:
            found[-1] = _joined(pair)
        else:
            found.append(piece)
    return found
