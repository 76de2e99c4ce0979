"""A text as a BERT reads it, with [MASK] in place of some of its word pieces."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thinc.api import to_numpy

from spacy_bert_zh.backbones.base import BackboneShim
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.subsets import Floats, Kept
from spacy_bert_zh.pieces import Batch, Encoded

MOST = 100
"""Parts of a text; where there are more pieces, runs of neighbours are one part."""
PIECES = 1024
"""Word pieces of one pass: what lies in between stays in a CPU's cache."""
SETS = 256
"""Sets of parts whose windows are in memory at once."""


class Masked:
    """One BERT's view of a text; each different set of its parts is read once for good.

    Args:
        classifier: Of the pipeline.
        shim: One of its BERTs.
        text: The text.

    Attributes:
        shim: That BERT.
        encoded: The text as that BERT reads it.
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
            self.encoded = shim.encode([classifier.nlp.make_doc(text)], False)
        self._known: dict[bytes, Floats] = {}

    @cached_property
    def _mask(self) -> int:
        tokenizer: Any = self.shim.encoder.tokenizer
        mask = tokenizer.token_to_id("[MASK]")
        return int(tokenizer.token_to_id("[UNK]") if mask is None else mask)

    def blank(self) -> list[Batch]:
        """The batches of `encoded` with [MASK] in place of all pieces of the text."""
        spans = dict(zip(self.encoded.windows.tolist(), self._spans, strict=True))
        masked, row = [], 0
        for batch in self.encoded.batches:
            ids = batch.ids.copy()
            for end in np.cumsum(batch.lengths):  # [SEP] is a window's last piece
                first, last = spans[row]
                ids[end - 1 - (last - first) : end - 1] = self._mask
                row += 1
            masked.append(Batch(ids, batch.lengths))
        return masked

    def gather(self, found: Sequence[Floats]) -> Floats:
        """Values of batches' pieces to those of the text's, as windows are pooled.

        Args:
            found: Of each batch of `encoded`, (directions, pieces of it).

        Returns:
            Shape (directions, pieces).
        """
        rows = _rows(found, self.encoded.batches)
        pieces = np.zeros((len(found[0]), len(self.places)))
        for row, (start, end) in zip(self.encoded.windows, self._spans, strict=True):
            last = rows[row].shape[1] - 1
            pieces[:, start:end] += rows[row][:, last - (end - start) : last] / len(self._spans)
        return pieces

    def vectors(self, kept: Kept) -> Floats:
        """What the BERT makes of the text with some of its parts; shape (sets, hidden size).

        Args:
            kept: Sets of parts, by their numbers.
        """
        sets = np.zeros((len(kept), self.count), dtype=bool)
        for row, some in enumerate(kept):
            sets[row, list(some)] = True
        keys = [row.tobytes() for row in sets]
        rows = {key: row for row, key in enumerate(keys) if key not in self._known}
        for at in range(0, len(rows), SETS):
            new = list(rows)[at : at + SETS]
            self._known.update(zip(new, self._read(sets[[rows[key] for key in new]]), strict=True))
        return np.stack([self._known[key] for key in keys])

    def _read(self, sets: NDArray[np.bool_]) -> Floats:
        seen = sets[:, self.parts]  # (sets, pieces)
        rows = _rows([batch.ids[None] for batch in self.encoded.batches], self.encoded.batches)
        batches, windows, read = list[Batch](), list[NDArray[np.int64]](), 0
        for row, (start, end) in zip(self.encoded.windows, self._spans, strict=True):
            ids = np.repeat(rows[row], len(sets), axis=0)
            last = ids.shape[1] - 1
            ids[:, last - (end - start) : last][~seen[:, start:end]] = self._mask
            # Most parts lie in other windows: the same window twice is read once.
            ids, back = np.unique(ids, axis=0, return_inverse=True)
            windows.append(read + back.ravel())
            read += len(ids)
            for some in np.array_split(ids, -(-ids.size // PIECES)):
                batches.append(Batch(some.ravel(), np.full(len(some), some.shape[1])))
        docs = np.tile(np.arange(len(sets)), len(windows))
        encoded = Encoded(batches, np.concatenate(windows), docs, [{} for _ in sets])
        vectors: Floats = to_numpy(self.shim.predict(encoded)).astype(np.float64)
        return vectors

    def spread(self, pieces: Floats, length: int) -> Floats:
        """Values of pieces, (directions, pieces), evenly over characters, (directions, length)."""
        characters = np.zeros((len(pieces), length))
        for column, (start, end) in enumerate(self.places):
            characters[:, start:end] += pieces[:, column, None] / max(end - start, 1)
        return characters


def _rows(values: Sequence[NDArray[Any]], batches: Sequence[Batch]) -> list[NDArray[Any]]:
    """Values of batches' pieces, (any, pieces), cut into those of their windows."""
    return [
        row
        for part, batch in zip(values, batches, strict=True)
        for row in np.split(part, np.cumsum(batch.lengths)[:-1], axis=1)
    ]
