"""Which characters stand beside each other in the texts of a training, and how often."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.characters import Table
from spacy_bert_zh.errors import BertZhError

MOST_CHARACTERS = 20_000_000
"""Of the training's texts that are counted."""
MOST_NGRAMS = 1_000_000
"""Of each size, the most frequent ones."""
LEAST = 2
"""A pair that was seen less often might be a slip."""
BITS = 21
"""Of a code point; three of them fit a number."""
_BREAK = 10  # the line break, between texts


class Counts:
    """Counts of characters, and of two and three in a row.

    Args:
        keys: N-grams as numbers, ascending; what shorter ones lack in front is 0. Int (n-grams,).
        counts: How often each was seen; int (n-grams,).
        joined: For two characters side by side the one that they are parts of.
        alike: For a character those in whose place it may stand.
    """

    def __init__(
        self,
        keys: NDArray[np.int64],
        counts: NDArray[np.int64],
        joined: Mapping[str, str],
        alike: Mapping[str, str],
    ) -> None:
        self.keys, self.counts = keys, counts
        self.joined, self.alike = dict(joined), dict(alike)

    @classmethod
    def learn(
        cls, texts: Iterable[str], splits: Mapping[str, Iterable[str]], alike: Iterable[Table] = ()
    ) -> "Counts":
        """Count what texts have.

        Args:
            texts: Those of a training; the first `MOST_CHARACTERS` characters.
            splits: For a character, pairs that are its parts; see `characters.splits`.
            alike: Tables of what may stand in a character's place.
        """
        kept, size = ["\n"], 0
        for text in texts:
            kept.append(text)
            size += len(text)
            if size > MOST_CHARACTERS:
                break
        encoded = "\n".join(kept).encode("utf-32-le", "surrogatepass")
        codes = np.frombuffer(encoded, dtype="<u4").astype(np.int64)
        tables = list(alike)  # these need what was seen once, and three in a row
        sizes, least = ((1, 2, 3), 1) if tables else ((1, 2), LEAST)
        found = [_count(codes, size, least) for size in sizes]
        keys, counts = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        learnt = cls(keys, counts, {}, {})
        learnt.joined, learnt.alike = learnt._joined(splits), learnt._alike(tables)
        return learnt

    def _joined(self, splits: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """Pairs that are parts of one character alone, of those that the texts have."""
        found: dict[str, set[str]] = {}
        for character, pairs in splits.items():
            for pair in pairs if self.of(character) else ():
                found.setdefault(pair, set()).add(character)
        return {pair: one for pair, (one, *others) in found.items() if not others}

    def _alike(self, tables: Iterable[Table]) -> dict[str, str]:
        """For what may stand in the place of characters that the texts have, these characters."""
        found: dict[str, dict[str, None]] = {}
        for table in tables:
            for character, others in table.items():
                for other in others if self.of(character) else ():
                    found.setdefault(other, {})[character] = None
        return {character: "".join(meant) for character, meant in found.items()}

    def of(self, text: str, least: int = LEAST) -> int:
        """How often one, two or three characters were seen; 0 where it was less often than that."""
        key = 0
        for character in text:
            key = key << BITS | ord(character)
        place = int(np.searchsorted(self.keys, key))
        if place == len(self.keys) or self.keys[place] != key or self.counts[place] < least:
            return 0
        return int(self.counts[place])

    def to_bytes(self) -> bytes:
        """As safetensors."""
        from safetensors.numpy import save

        rows = [[ord(c) for c in pair + one] for pair, one in sorted(self.joined.items())]
        joined = np.asarray(rows, dtype=np.int64).reshape(-1, 3)
        lines = "\n".join(map(" ".join, sorted(self.alike.items())))
        alike = np.frombuffer(lines.encode(), dtype=np.uint8)
        counts = self.counts.astype(np.int32)
        return save({"keys": self.keys, "counts": counts, "joined": joined, "alike": alike})

    @classmethod
    def from_bytes(cls, data: bytes, where: object) -> "Counts":
        """Read what `to_bytes` has made.

        Args:
            data: The bytes.
            where: Of which file or part the error shall speak.

        Raises:
            BertZhError: It is something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays: dict[str, Any] = load(data)
            keys, counts, joined = (arrays[name] for name in ("keys", "counts", "joined"))
            fits = keys.shape == counts.shape == (len(keys),) and joined.shape[1:] == (3,)
            whole = keys.dtype == joined.dtype == np.int64 and counts.dtype == np.int32
            if not (fits and whole and (keys[1:] > keys[:-1]).all() and (counts > 0).all()):
                raise ValueError("its arrays have other shapes or values")
            rows = ["".join(map(chr, row)) for row in joined.tolist()]
            lines = arrays["alike"].tobytes().decode().split("\n")
            alike = {line[0]: line[2:] for line in lines if line}
            if not all(alike.values()):
                raise ValueError("a character stands for none")
        except (SafetensorError, KeyError, ValueError, OverflowError, TypeError) as error:
            raise BertZhError(f"{where} is damaged ({error}): train or copy it again") from error
        return cls(keys, counts.astype(np.int64), {row[:2]: row[2] for row in rows}, alike)


def _count(
    codes: NDArray[np.int64], size: int, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """N-grams of one size within texts, as ascending numbers, and how often they are there."""
    plain = codes != _BREAK
    grams, inside = codes, plain
    for i in range(1, size):
        grams, inside = (grams[:-1] << BITS) | codes[i:], inside[:-1] & plain[i:]
    keys, counts = np.unique(grams[inside], return_counts=True)
    if len(keys) > MOST_NGRAMS:
        least = max(least, int(np.partition(counts, -MOST_NGRAMS)[-MOST_NGRAMS]) + 1)
    often = counts >= least
    return keys[often], counts[often].astype(np.int64)
