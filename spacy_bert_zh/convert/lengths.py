"""How long the texts are, in characters and in word pieces."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PERCENTILES = (50, 90, 95, 99, 100)
# [CLS] and [SEP], which count towards a model's maximum.
SPECIAL = 2
# Counted in parts of this many characters: bounds memory, and adds a piece at most for each.
PART = 10_000
BATCH = 20_000


class Lengths:
    """Counts of texts by length."""

    def __init__(self, tokenizer: Path | None, max_length: int) -> None:
        # Both need a second to import.
        from spacy_bert_zh.pieces import EMBEDDED
        from spacy_bert_zh.tokenizer import load_tokenizer

        self._tokenizer = load_tokenizer(tokenizer or EMBEDDED)
        self._max_length = max_length
        self._characters: Counter[int] = Counter()
        self._pieces: Counter[int] = Counter()
        self._waiting: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Count a text."""
        self._characters[len(text)] += 1
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= BATCH:
            self._count_pieces()

    def summary(self) -> dict[str, Any]:
        """Percentiles, and the share of texts that a model would cut or split."""
        self._count_pieces()
        total = max(self._pieces.total(), 1)
        over = sum(n for length, n in self._pieces.items() if length > self._max_length)
        return {
            "characters": _percentiles(self._characters),
            "pieces": _percentiles(self._pieces),
            "max_length": self._max_length,
            "over_max_length": over / total,
        }

    def _count_pieces(self) -> None:
        parts = [list(_parts(text)) for text in self._waiting]
        flat = [part for group in parts for part in group]
        encoded = iter(self._tokenizer.encode_batch(flat, add_special_tokens=False))
        for group in parts:
            self._pieces[SPECIAL + sum(len(next(encoded)) for _ in group)] += 1
        self._waiting, self._size = [], 0


def _parts(text: str) -> Iterator[str]:
    for start in range(0, len(text), PART):
        yield text[start : start + PART]


def _percentiles(counts: Counter[int]) -> dict[str, int]:
    """The smallest length that this many per cent of the texts don't exceed."""
    total, seen = counts.total(), 0
    found: dict[str, int] = {}
    for length in sorted(counts):
        seen += counts[length]
        for percent in PERCENTILES:
            if seen * 100 >= percent * total:
                found.setdefault(str(percent), length)
    return found
