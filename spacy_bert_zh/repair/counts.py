"""Which characters stand beside each other in the texts of a training, and how often."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError

MOST_CHARACTERS = 20_000_000
"""Of the training's texts that are counted."""
LEAST = 2
"""A pair that was seen less often might be a slip."""
_BITS = 21  # of a code point
_BREAK = 10  # the line break, between texts


class Counts:
    """Counts of characters and of pairs of neighbours.

    Args:
        keys: Pairs as numbers, ascending; the first character of a single one is 0. Int (pairs,).
        counts: How often each was seen; int (pairs,).
        joined: For two characters side by side the one that they are parts of.
    """

    def __init__(
        self, keys: NDArray[np.int64], counts: NDArray[np.int64], joined: Mapping[str, str]
    ) -> None:
        self.keys, self.counts, self.joined = keys, counts, dict(joined)

    @classmethod
    def learn(cls, texts: Iterable[str], splits: Mapping[str, Iterable[str]]) -> "Counts":
        """Count what texts have.

        Args:
            texts: Those of a training; the first `MOST_CHARACTERS` characters.
            splits: For a character, pairs that are its parts; see `characters.splits`.
        """
        kept, size = ["\n"], 0
        for text in texts:
            kept.append(text)
            size += len(text)
            if size > MOST_CHARACTERS:
                break
        encoded = "\n".join(kept).encode("utf-32-le", "surrogatepass")
        codes = np.frombuffer(encoded, dtype="<u4").astype(np.int64)
        inside = (codes[:-1] != _BREAK) & (codes[1:] != _BREAK)
        pairs = ((codes[:-1] << _BITS) | codes[1:])[inside]
        keys, counts = np.unique(np.concatenate([codes, pairs]), return_counts=True)
        often = counts >= LEAST
        learnt = cls(keys[often], counts[often].astype(np.int64), {})
        learnt.joined = learnt._joined(splits)
        return learnt

    def _joined(self, splits: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """Pairs that are parts of one character alone, of those that the texts have."""
        found: dict[str, set[str]] = {}
        for character, pairs in splits.items():
            for pair in pairs if self.of(character) else ():
                found.setdefault(pair, set()).add(character)
        return {pair: one for pair, (one, *others) in found.items() if not others}

    def of(self, text: str) -> int:
        """How often a character, or a pair of neighbours, was seen; 0 where it was but once."""
        key = 0
        for character in text:
            key = key << _BITS | ord(character)
        place = int(np.searchsorted(self.keys, key))
        return int(self.counts[place]) if place < len(self.keys) and self.keys[place] == key else 0

    def to_bytes(self) -> bytes:
        """As safetensors."""
        from safetensors.numpy import save

        rows = [[ord(c) for c in pair + one] for pair, one in sorted(self.joined.items())]
        joined = np.asarray(rows, dtype=np.int64).reshape(-1, 3)
        return save({"keys": self.keys, "counts": self.counts, "joined": joined})

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
            whole = all(array.dtype == np.int64 for array in (keys, counts, joined))
            if not (fits and whole and (keys[1:] > keys[:-1]).all() and (counts > 0).all()):
                raise ValueError("its arrays have other shapes or values")
            rows = ["".join(map(chr, row)) for row in joined.tolist()]
        except (SafetensorError, KeyError, ValueError, OverflowError, TypeError) as error:
            raise BertZhError(f"{where} is damaged ({error}): train or copy it again") from error
        return cls(keys, counts, {row[:2]: row[2] for row in rows})
