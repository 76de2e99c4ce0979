"""One process's part of the preparation: texts → pieces with word boundaries."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spacy_bert_zh.characters import word_cutter
from spacy_bert_zh.reading.overlap import Overlap

_LATIN = re.compile("[0-9A-Za-z]+")


@dataclass
class Block:
    """The documents of a stretch of the corpus, in its order."""

    pieces: list[NDArray[np.integer]] = field(default_factory=list)
    starts: list[NDArray[np.bool_]] = field(default_factory=list)
    held_out: list[bool] = field(default_factory=list)
    taught: list[NDArray[np.uint32]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Lesson:
    """What a teacher reads of a text.

    Attributes:
        tokenizer: The teacher's, as ``tokenizer.json``.
        prefix: Stands in front of every text.
        most: The longest text it can read, in its pieces.
        length: The longest document to make of a text, in the pupil's pieces; a longer text
            becomes several, so that both read the same.
    """

    tokenizer: str
    prefix: str
    most: int
    length: int


class Worker:
    """Turns texts into pieces with word boundaries, and into a teacher's pieces, if there is one.

    Args:
        tokenizer: As ``tokenizer.json``.
        overlap: What to keep out.
        held_out: Share of the texts that are kept for measuring.
        seed: Which ones.
        lesson: How a teacher reads.
    """

    def __init__(
        self,
        tokenizer: str,
        overlap: Overlap,
        held_out: float,
        seed: int,
        lesson: Lesson | None = None,
    ) -> None:
        self._words = word_cutter("pretrain", "pretrain")
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._lesson = lesson
        self._teacher = Tokenizer.from_str(lesson.tokenizer) if lesson else None
        self._overlap = overlap
        self._held_out = held_out
        self._salt = seed.to_bytes(16, "little", signed=True)
        self._unknown = self._tokenizer.token_to_id("[UNK]")
        small = self._tokenizer.get_vocab_size() <= 1 << 16
        self.dtype = np.dtype(np.uint16 if small else np.uint32)

    def __call__(self, texts: list[str]) -> Block:
        block = Block()
        kept = [text for text in texts if not self._excluded(text, block.counts)]
        documents = [(part, self._is_held_out(text)) for text in kept for part in self._cut(text)]
        encodings = self._encode([text for text, _ in documents])
        for (text, held_out), encoding in zip(documents, encodings, strict=True):
            if not encoding.ids:
                block.counts["rejected: no piece"] += 1
                continue
            pieces = np.asarray(encoding.ids, dtype=self.dtype)
            begin = np.asarray(encoding.offsets, dtype=np.int64)[:, 0]
            starts = self._boundaries(text)[begin]
            starts[0] = True
            block.pieces.append(pieces)
            block.starts.append(starts)
            block.held_out.append(held_out)
            block.taught += self._teach(text)
            self._count(text, pieces, encoding.offsets, block.counts)
        return block

    def _encode(self, texts: list[str]) -> list[Any]:
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def _cut(self, text: str) -> list[str]:
        """The documents of a text: itself, or parts of it that a teacher can read whole."""
        if not self._lesson:
            return [text]
        offsets = self._encode([text])[0].offsets
        most = self._lesson.length
        spans = [offsets[start : start + most] for start in range(0, len(offsets), most)]
        return [text[span[0][0] : span[-1][1]] for span in spans]

    def _teach(self, text: str) -> list[NDArray[np.uint32]]:
        """The pieces that the teacher reads of a document, or nothing."""
        if not self._lesson or not self._teacher:
            return []
        cls, sep = (self._teacher.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
        encoding = self._teacher.encode(self._lesson.prefix + text, add_special_tokens=False)
        ids = encoding.ids[: self._lesson.most - 2]
        return [np.asarray([cls, *ids, sep], dtype=np.uint32)]

    def _excluded(self, text: str, counts: Counter[str]) -> bool:
        found = self._overlap.find(text) if len(self._overlap) else None
        if found:
            counts[f"excluded: {found} match"] += 1
        return found is not None

    def _boundaries(self, text: str) -> NDArray[np.bool_]:
        lengths = np.fromiter(map(len, self._words.cut(text)), dtype=np.int64)
        boundaries = np.zeros(len(text) + 1, dtype=bool)
        boundaries[np.cumsum(lengths) - lengths] = True
        return boundaries

    def _is_held_out(self, text: str) -> bool:
        digest = hashlib.blake2b(text.encode(), digest_size=8, salt=self._salt).digest()
        return int.from_bytes(digest, "big") < self._held_out * (1 << 64)

    def _count(
        self, text: str, pieces: NDArray[Any], offsets: list[tuple[int, int]], counts: Counter[str]
    ) -> None:
        counts["documents"] += 1
        counts["characters"] += len(text)
        counts["pieces"] += len(pieces)
        counts["latin words"] += len(_LATIN.findall(text))
        unknown = np.flatnonzero(pieces == self._unknown)
        counts["unknown"] += len(unknown)
        for part in (text[slice(*offsets[i])] for i in unknown.tolist()):
            counts[f"unknown {part[:1]}"] += 1
            counts["latin words unknown"] += len(_LATIN.findall(part))
