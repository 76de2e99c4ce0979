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
        shared: What no piece has for itself, being said by several together: it is spread evenly
            over them; shape (directions,).
    """

    start: Floats
    change: Floats
    characters: Floats
    method: str
    steps: int
    shared: Floats

    @property
    def together(self) -> Floats:
        """How much of the change is shared, see `Share.together`; (directions,)."""
        return _relative(self.shared, self.change)

    @property
    def error(self) -> Floats:
        """How far the characters' sum is from the change, see `Share.error`; (directions,)."""
        return _relative(self.characters.sum(1) - self.change, self.change)


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
        start, full = _ends(masked, part)
        change = full - start
        found, method, steps, shared = (
            _by_gradients(masked, part, change)
            if gradients
            else _by_masks(masked, part, change, samples)
        )
        characters = masked.spread(found, len(text))
        shares.append(NetworkShare(start, change, characters, method, steps, shared))
    return _add(shares)


def read_end(classifier: Classifier, text: str) -> int:
    """Characters of the text that the BERT reads, from its beginning."""
    found = [shim.encoder.places(text) for shim in classifier.shims]
    return max((end for places, spans in found for _, end in places[: spans[-1][1]]), default=0)


def _add(shares: Sequence[NetworkShare]) -> NetworkShare:
    """What several BERTs say together."""
    start, change, characters, shared = (
        np.sum([getattr(share, name) for share in shares], axis=0)
        for name in ("start", "change", "characters", "shared")
    )
    steps = max(share.steps for share in shares)
    return NetworkShare(start, change, characters, shares[0].method, steps, shared)


def _ends(masked: Masked, directions: NDArray[np.float32]) -> Floats:
    """What is said of the baseline, and of the text; shape (2, directions)."""
    found: Floats = masked.vectors([[], range(masked.count)]) @ directions.astype(np.float64).T
    return found


def _by_gradients(
    masked: Masked, directions: NDArray[np.float32], change: Floats
) -> tuple[Floats, str, int, Floats]:
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
        if _relative(pieces.sum(1) - change, change).max(initial=0) <= EXACT:
            break
    return pieces, "gradients", steps, np.zeros_like(change)


def _by_masks(
    masked: Masked, directions: NDArray[np.float32], change: Floats, samples: int
) -> tuple[Floats, str, int, Floats]:
    """What pieces, (directions, pieces), say by standing there rather than [MASK].

    Without samples the least square value that weighs the sets of one part, and of all but one,
    alike (Ruiz et al. 1998, "The family of least square values for transferable utility games"):
    of all values that add up to the change, those whose sums come nearest to what such sets say.
    """

    def say(kept: Kept) -> Floats:
        said: Floats = masked.vectors(kept) @ directions.astype(np.float64).T
        return said

    found = value_words(say, masked.count, samples)
    shared = change - found.sum(1)
    found = found + shared[:, None] / max(masked.count, 1)
    sizes = np.bincount(masked.parts, minlength=masked.count)
    method = "shapley" if samples else "occlusion"
    return (found / sizes)[:, masked.parts], method, samples, shared


def _relative(amount: Floats, change: Floats) -> Floats:
    """How large amounts are beside changes; shape (directions,)."""
    relative: Floats = np.abs(amount) / np.maximum(np.abs(change), SMALL)
    return relative
