"""The share of the BERT, spread over characters of the raw text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.backbones.torch.backbone import TorchShim
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.subsets import Floats, Kept, Subsets, value_words
from spacy_bert_zh.loading import Span
from spacy_bert_zh.pieces import Batch, Encoded

STEPS = (8, 16, 32, 64, 128)
"""Points of the integral: as many as it takes to be exact."""
EXACT = 1e-3
SMALL = 0.1
"""Changes of a logit below this count as this where errors are measured."""


@dataclass(frozen=True)
class NetworkShare:
    """What the BERT says of a text, in some directions of its vector.

    Attributes:
        start: Of the baseline; shape (directions,).
        change: By reading the text; shape (directions,).
        characters: That, spread over the text; shape (directions, characters).
        method: "gradients", "occlusion" or "shapley".
        steps: Points of the integral, or permutations.
    """

    start: Floats
    change: Floats
    characters: Floats
    method: str
    steps: int

    @property
    def error(self) -> Floats:
        """How far the characters' sum is from the change, see `Share.error`; (directions,)."""
        missed = np.abs(self.characters.sum(1) - self.change)
        relative: Floats = missed / np.maximum(np.abs(self.change), SMALL)
        return relative


def share_network(subsets: Subsets, directions: NDArray[np.float32], samples: int) -> NetworkShare:
    """Share out what the BERT says.

    Args:
        subsets: Of the text's words, where there are no gradients or `samples` are wanted.
        directions: Products of its vector with these are shared out; (directions, hidden size).
        samples: Permutations of the words; 0 takes gradients, or single words away.
    """
    classifier, text, words = subsets.classifier, subsets.text, subsets.words
    if not samples and all(isinstance(shim, TorchShim) for shim in classifier.shims):
        parts = classifier.parts(directions)
        return _add([_by_gradients(classifier, shim, text, part) for shim, part in parts])
    end = read_end(classifier, text)
    read = tuple((start, min(stop, end)) for start, stop in words if start < end)
    if end < len(text):  # what follows mustn't come into view where words are missing
        subsets = Subsets(classifier, text[:end], read)

    def say(kept: Kept) -> Floats:
        said: Floats = subsets.vectors(kept) @ directions.astype(np.float64).T
        return said

    found = value_words(say, len(read), samples)
    start, full = say([[], range(len(read))])
    characters = _spread(read, found, len(text))
    method = "shapley" if samples else "occlusion"
    return NetworkShare(start, full - start, characters, method, samples)


def read_end(classifier: Classifier, text: str) -> int:
    """Characters of the text that the BERT reads, from its beginning."""
    found = [shim.encoder.places(text) for shim in classifier.shims]
    return max((end for places, spans in found for _, end in places[: spans[-1][1]]), default=0)


def _add(shares: Sequence[NetworkShare]) -> NetworkShare:
    """What several BERTs say together."""
    start, change, characters = (
        np.sum([getattr(share, name) for share in shares], axis=0)
        for name in ("start", "change", "characters")
    )
    steps = max(share.steps for share in shares)
    return NetworkShare(start, change, characters, shares[0].method, steps)


def _by_gradients(
    classifier: Classifier, shim: Any, text: str, directions: NDArray[np.float32]
) -> NetworkShare:
    """Integrated gradients from [MASK] in place of each piece, to the pieces."""
    from spacy_bert_zh.backbones.torch.gradients import integrate

    places, spans = shim.encoder.places(text)
    with classifier.zone():
        encoded: Encoded = shim.encode([classifier.nlp.make_doc(text)], False)
    masked = _mask(encoded, spans, shim.encoder.tokenizer)
    ends = [
        shim.predict(Encoded(batches, encoded.windows, encoded.docs, encoded.readings))
        for batches in (masked, encoded.batches)
    ]
    start, full = (_numpy(vectors)[0] @ directions.astype(np.float64).T for vectors in ends)
    share = None
    for steps in STEPS:
        found = [
            integrate(shim.network, batch, other.ids, directions, steps)
            for batch, other in zip(encoded.batches, masked, strict=True)
        ]
        pieces = _gather(encoded, spans, found, len(places))
        characters = _spread(places, pieces, len(text))
        share = NetworkShare(start, full - start, characters, "gradients", steps)
        if share.error.max(initial=0) <= EXACT:
            break
    assert share is not None
    return share


def _mask(encoded: Encoded, spans: Sequence[Span], tokenizer: Any) -> list[Batch]:
    """The batches with [MASK] in place of all that comes from the text."""
    mask = tokenizer.token_to_id("[MASK]")
    other = tokenizer.token_to_id("[UNK]") if mask is None else mask
    texts = {row: end - start for row, (start, end) in zip(encoded.windows, spans, strict=True)}
    masked, row = [], 0
    for batch in encoded.batches:
        ids = batch.ids.copy()
        for end in np.cumsum(batch.lengths):
            ids[end - 1 - texts[row] : end - 1] = other
            row += 1
        masked.append(Batch(ids, batch.lengths))
    return masked


def _gather(encoded: Encoded, spans: Sequence[Span], found: Sequence[Floats], count: int) -> Floats:
    """Attributions of windows' pieces to those of the text's, as windows are pooled."""
    rows = list(
        chain.from_iterable(
            np.split(part, np.cumsum(batch.lengths)[:-1], axis=1)
            for part, batch in zip(found, encoded.batches, strict=True)
        )
    )
    pieces = np.zeros((len(found[0]), count))
    for row, (start, end) in zip(encoded.windows, spans, strict=True):
        length = rows[row].shape[1] - 1  # [SEP] is the last
        pieces[:, start:end] += rows[row][:, length - (end - start) : length] / len(spans)
    return pieces


def _spread(spans: Sequence[Span], values: Floats, length: int) -> Floats:
    """Values of spans, (directions, spans), evenly over characters, (directions, length)."""
    characters = np.zeros((len(values), length))
    for column, (start, end) in enumerate(spans):
        characters[:, start:end] += values[:, column, None] / max(end - start, 1)
    return characters


def _numpy(vectors: Any) -> Floats:
    from thinc.api import to_numpy

    return to_numpy(vectors).astype(np.float64)
