"""Texts by their words: BM25 (Robertson et al. 1994) as bm25s computes it, over jieba's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from spacy_bert_zh.errors import BertZhError, missing_extra, wants_memory
from spacy_bert_zh.loading import search_words
from spacy_bert_zh.untrusted import one_line

Scored = list[tuple[int, float]]
"""Places and scores, the best first."""


@dataclass(frozen=True)
class Words:
    """An index of words.

    Attributes:
        index: As bm25s has it, with the weights of Lucene (k1 = 1.5, b = 0.75).
    """

    index: Any

    @classmethod
    def build(cls, texts: Sequence[str]) -> Self:
        """From texts.

        Raises:
            BertZhError: A package is missing, or no text has a word.
        """
        words = [search_words(text) for text in texts]
        if not any(words):
            raise BertZhError("None of the texts has a word to search by")
        index = _library().BM25(method="lucene", k1=1.5, b=0.75)
        index.index(words, show_progress=False)
        return cls(index)

    def find(self, text: str, count: int) -> Scored:
        """The texts that share words with a text."""
        known = self.index.get_tokens_ids(search_words(text))
        if not known:
            return []
        scores = self.index.get_scores_from_ids(known)
        best = np.argpartition(-scores, min(count, len(scores)) - 1)[:count]
        best = best[np.lexsort((best, -scores[best]))]
        return [(int(place), float(scores[place])) for place in best if scores[place] > 0]

    def save(self, folder: Path) -> None:
        """Write it to a folder, as bm25s does."""
        self.index.save(folder)

    @classmethod
    def load(cls, folder: Path, texts: int) -> Self:
        """Read it.

        Args:
            folder: What `save` made.
            texts: How many there must be.

        Raises:
            BertZhError: bm25s is missing, or the folder is damaged.
        """
        library = _library()
        try:
            index = library.BM25.load(folder, mmap=True, load_corpus=False)
            _check(index, texts)
        except Exception as error:  # of numpy, json and bm25s
            if wants_memory(error):
                raise
            raise BertZhError(f"{folder} is damaged: {one_line(error)}; build it again") from error
        return cls(index)


def _check(index: Any, texts: int) -> None:
    """Whether what was read fits together: it may have been changed."""
    data, indices, ends = (index.scores[name] for name in ("data", "indices", "indptr"))
    if index.scores["num_docs"] != texts or index.method != "lucene":
        raise ValueError("it is of other texts")
    kinds = data.dtype.kind + indices.dtype.kind + ends.dtype.kind
    if kinds != "fii" or {data.ndim, indices.ndim, ends.ndim} != {1}:
        raise ValueError("its numbers are of other kinds")
    if not np.isfinite(data).all() or len(data) != len(indices) or ends[-1] != len(data):
        raise ValueError("its numbers don't fit each other")
    if ends[0] != 0 or (np.diff(ends) < 0).any() or not _within(indices, texts):
        raise ValueError("it points to texts that aren't there")
    # bm25s gives the empty word a number of its own, which no text has.
    numbers = np.asarray([number for word, number in index.vocab_dict.items() if word])
    if numbers.dtype.kind != "i" or not _within(numbers, len(ends) - 1):
        raise ValueError("it points to words that aren't there")


def _within(numbers: Any, most: int) -> bool:
    return not len(numbers) or (numbers.min() >= 0 and numbers.max() < most)


def _library() -> Any:
    try:
        import bm25s
    except ImportError:
        raise missing_extra("bm25s", "retrieve", "Search by words") from None
    return bm25s
