"""How long the texts are, in characters and in word pieces, and what of them will be read."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from spacy_bert_zh.convert.options import Options

PERCENTILES = (50, 90, 95, 99, 100)
# Counted in parts of this many characters: bounds memory, and adds a piece at most for each.
PART = 10_000
BATCH = 20_000


class Lengths:
    """Counts of texts by length.

    Args:
        options: Which pieces to count, and from how many on a text is long: as its `config`
            reads a text, unless `tokenizer` or `max_length` say something else.
    """

    def __init__(self, options: Options) -> None:
        # Both need a second to import.
        from spacy_bert_zh.checkpoint import find_tokenizer
        from spacy_bert_zh.pieces import find_backbone, pieces_read

        backbone = find_backbone(options.config)
        name, revision = backbone.get("name"), backbone.get("revision", "main")
        if options.tokenizer is not None:
            name, revision = options.tokenizer, "main"
        self._name = name
        self._tokenizer = find_tokenizer(name, revision)
        self._max_length = options.max_length or pieces_read(backbone)
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
        """Percentiles, and the share of texts that aren't read to their end.

        ``max_length`` is None where all are, however long.
        """
        self._count_pieces()
        total = max(self._pieces.total(), 1)
        most = self._max_length or max(self._pieces, default=0)
        over = sum(n for length, n in self._pieces.items() if length > most)
        return {
            "characters": _percentiles(self._characters),
            "pieces": _percentiles(self._pieces),
            "tokenizer": self._name or "the BERT that ships",
            "max_length": self._max_length,
            "over_max_length": over / total,
        }

    def _count_pieces(self) -> None:
        parts = [list(_parts(text)) for text in self._waiting]
        flat = [part for group in parts for part in group]
        encoded = iter(self._tokenizer.encode_batch(flat, add_special_tokens=False))
        for group in parts:
            self._pieces[sum(len(next(encoded)) for _ in group)] += 1
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
