"""One process's part of the preparation: texts → pieces with word boundaries."""

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spacy_bert_zh.pretrain.overlap import Overlap

_LATIN = re.compile("[0-9A-Za-z]+")


@dataclass
class Block:
    """The documents of a stretch of the corpus, in its order."""

    pieces: list[NDArray[np.integer]] = field(default_factory=list)
    starts: list[NDArray[np.bool_]] = field(default_factory=list)
    held_out: list[bool] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Worker:
    """Turns texts into pieces with word boundaries."""

    def __init__(self, tokenizer: str, overlap: Overlap, held_out: float, seed: int):
        import jieba

        jieba.setLogLevel("CRITICAL")  # a cache it can't write is no error
        self._words = jieba.Tokenizer()
        self._words.tmp_dir = os.devnull  # and one that it could would be left by a kill
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._overlap = overlap
        self._held_out = held_out
        self._salt = seed.to_bytes(16, "little", signed=True)
        self._unknown = self._tokenizer.token_to_id("[UNK]")
        small = self._tokenizer.get_vocab_size() <= 1 << 16
        self.dtype = np.dtype(np.uint16 if small else np.uint32)

    def __call__(self, texts: list[str]) -> Block:
        block = Block()
        kept = [text for text in texts if not self._excluded(text, block.counts)]
        encodings = self._tokenizer.encode_batch(kept, add_special_tokens=False)
        for text, encoding in zip(kept, encodings, strict=True):
            if not encoding.ids:
                block.counts["rejected: no piece"] += 1
                continue
            pieces = np.asarray(encoding.ids, dtype=self.dtype)
            begin = np.asarray(encoding.offsets, dtype=np.int64)[:, 0]
            starts = self._boundaries(text)[begin]
            starts[0] = True
            block.pieces.append(pieces)
            block.starts.append(starts)
            block.held_out.append(self._is_held_out(text))
            self._count(text, pieces, encoding.offsets, block.counts)
        return block

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
