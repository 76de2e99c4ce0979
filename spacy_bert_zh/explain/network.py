"""The share of the BERT, spread over characters of the raw text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.backbones.torch.backbone import TorchShim
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.masked import Masked
from spacy_bert_zh.explain.subsets import Floats, Kept, value_words

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
        return _missed(self.characters, self.change)


def share_network(
    classifier: Classifier, text: str, directions: NDArray[np.float32], samples: int
) -> NetworkShare:
    """Share out what the BERT says of a text rather than of [MASK] in the place of each piece.

    Args:
        classifier: Of the pipeline.
        text: The text.
        directions: Products of its vector with these are shared out; (directions, hidden size).
        samples: Permutations of the pieces, for Shapley values; 0 takes gradients, or masks pieces
            one at a time.
    """
    gradients = not samples and all(isinstance(shim, TorchShim) for shim in classifier.shims)
    shares = []
    for shim, part in classifier.parts(directions):
        masked = Masked(classifier, shim, text)
        start, full = masked.vectors([[], range(masked.count)]) @ part.astype(np.float64).T
        found, method, steps = (
            _by_gradients(masked, part, full - start)
            if gradients
            else _by_masks(masked, part, samples)
        )
        characters = masked.spread(found, len(text))
        shares.append(NetworkShare(start, full - start, characters, method, steps))
    return _add(shares)


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
    masked: Masked, directions: NDArray[np.float32], change: Floats
) -> tuple[Floats, str, int]:
    """Integrated gradients of pieces, (directions, pieces), in as many steps as it takes."""
    from spacy_bert_zh.backbones.torch.gradients import integrate

    shim: Any = masked.shim
    pairs = list(zip(masked.encoded.batches, masked.blank(), strict=True))
    pieces, steps = np.zeros((len(directions), 0)), 0
    for steps in STEPS:
        found = [
            integrate(shim.network, batch, other.ids, directions, steps) for batch, other in pairs
        ]
        pieces = masked.gather(found)
        if _missed(pieces, change).max(initial=0) <= EXACT:
            break
    return pieces, "gradients", steps


def _by_masks(
    masked: Masked, directions: NDArray[np.float32], samples: int
) -> tuple[Floats, str, int]:
    """What pieces, (directions, pieces), change by standing there rather than [MASK]."""

    def say(kept: Kept) -> Floats:
        said: Floats = masked.vectors(kept) @ directions.astype(np.float64).T
        return said

    found = value_words(say, masked.count, samples)
    sizes = np.bincount(masked.parts, minlength=masked.count)
    method = "shapley" if samples else "occlusion"
    return (found / sizes)[:, masked.parts], method, samples


def _missed(found: Floats, change: Floats) -> Floats:
    """How far sums, of (directions, places), are from a change, relative to it; (directions,)."""
    relative: Floats = np.abs(found.sum(1) - change) / np.maximum(np.abs(change), SMALL)
    return relative
