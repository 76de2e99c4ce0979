"""A text as a BERT reads it, with [MASK] in place of some of its word pieces."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thinc.api import to_numpy

from spacy_bert_zh.backbones.base import BackboneShim
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.subsets import Floats, Kept
from spacy_bert_zh.loading import Span
from spacy_bert_zh.pieces import Batch, Encoded

MOST = 100
"""Parts of a text; where there are more pieces, runs of neighbours are one part."""
PIECES = 1024
"""Word pieces of one pass: what lies in between stays in a CPU's cache."""
SETS = 256
"""Sets of parts whose windows are in memory at once."""


class Masked:
    """One BERT's view of a text.

    Args:
        classifier: Of the pipeline.
        shim: One of its BERTs.
        text: The text.

    Attributes:
        shim: That BERT.
        places: Where pieces stand in the text, (start, end) in characters.
        parts: The part that each piece belongs to; shape (pieces,).
        count: Number of parts.
    """

    def __init__(self, classifier: Classifier, shim: BackboneShim, text: str) -> None:
        self.shim = shim
        places, self._spans = shim.encoder.places(text)
        self.places = places[: self._spans[-1][1]]
        self.count = min(len(self.places), MOST)
        self.parts = np.arange(len(self.places)) * self.count // max(len(self.places), 1)
        with classifier.zone():
            encoded = shim.encode([classifier.nlp.make_doc(text)], False)
        rows = [
            row
            for batch in encoded.batches
            for row in np.split(batch.ids, np.cumsum(batch.lengths)[:-1])
        ]
        self._windows = [rows[row] for row in encoded.windows]

    @cached_property
    def _mask(self) -> int:
        tokenizer: Any = self.shim.encoder.tokenizer
        mask = tokenizer.token_to_id("[MASK]")
        return int(tokenizer.token_to_id("[UNK]") if mask is None else mask)

    def windows(self, seen: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], Span]]:
        """Each window's ids, (sets, pieces of it), and which of the text's pieces it holds.

        Those are its last but for [SEP].

        Args:
            seen: Which pieces stay; shape (sets, pieces).
        """
        found = []
        for ids, (start, end) in zip(self._windows, self._spans, strict=True):
            tall = np.tile(ids, (len(seen), 1))
            tall[:, len(ids) - 1 - (end - start) : len(ids) - 1][~seen[:, start:end]] = self._mask
            found.append((tall, (start, end)))
        return found

    def vectors(self, kept: Kept) -> Floats:
        """What the BERT makes of the text with some of its parts; shape (sets, hidden size).

        Args:
            kept: Sets of parts, by their numbers.
        """
        sets = np.zeros((len(kept), self.count), dtype=bool)
        for row, some in enumerate(kept):
            sets[row, list(some)] = True
        # The same set twice is read once.
        unique, back = np.unique(sets, axis=0, return_inverse=True)
        found = [self._read(unique[at : at + SETS]) for at in range(0, len(unique), SETS)]
        vectors: Floats = np.concatenate(found)[back.ravel()]
        return vectors

    def _read(self, sets: NDArray[np.bool_]) -> Floats:
        batches = list[Batch]()
        windows = self.windows(sets[:, self.parts])
        for ids, _ in windows:
            at_once = max(1, PIECES // ids.shape[1])
            for start in range(0, len(ids), at_once):
                some = ids[start : start + at_once]
                batches.append(Batch(some.ravel(), np.full(len(some), some.shape[1])))
        docs = np.tile(np.arange(len(sets)), len(windows))
        encoded = Encoded(batches, np.arange(len(docs)), docs, [{} for _ in sets])
        vectors: Floats = to_numpy(self.shim.predict(encoded)).astype(np.float64)
        return vectors

    def spread(self, pieces: Floats, length: int) -> Floats:
        """Values of pieces, (directions, pieces), evenly over characters, (directions, length)."""
        characters = np.zeros((len(pieces), length))
        for column, (start, end) in enumerate(self.places):
            characters[:, start:end] += pieces[:, column, None] / max(end - start, 1)
        return characters
