"""The share of the linear model: each n-gram's, spread over its characters."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.result import Ngram
from spacy_bert_zh.loading import Span
from spacy_bert_zh.textcat import hashing_of, ngram_features, ngram_rows, weights_of

TOP = 20
"""N-grams that are named."""


@dataclass(frozen=True)
class Places:
    """All n-grams of a text.

    Attributes:
        starts: In characters of the raw text; shape (places,).
        ends: The same.
        weights: What each adds to the logits; shape (places, labels).
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    weights: NDArray[np.float64]


def weigh_ngrams(classifier: Classifier, text: str) -> Places:
    """What each n-gram at each of its places adds to each label's logit.

    The model adds up one weight for each different hash value, damped by how often it occurs; all
    its places have equal shares in that.
    """
    linear, labels = classifier.linear, len(classifier.labels)
    none = np.zeros(0, dtype=np.int64)
    if linear is None or not text:
        return Places(none, none, np.zeros((0, labels)))
    size, length = hashing_of(linear)
    # Case folding makes several characters of some.
    folded = [character.casefold() for character in text]
    origin = np.repeat(np.arange(len(text)), [len(part) for part in folded])
    rows, starts, ends = [none], [none], [none]
    for width, found in ngram_rows("".join(folded), size, length):
        rows.append(found)
        starts.append(origin[: len(found)])
        ends.append(origin[width - 1 :] + 1)
    _, known, damped = ngram_features([text], size, length)
    every = np.concatenate(rows)
    place = np.searchsorted(known, every)
    counts = np.bincount(place, minlength=len(known))
    # (hash values of the text, labels)
    weights = weights_of(linear, known).astype(np.float64)
    weights *= (classifier.rate * damped / counts)[:, None]
    return Places(np.concatenate(starts), np.concatenate(ends), weights[place])


def spread(places: Places, weights: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Spread weights of n-grams, (places,), evenly over their characters, (length,)."""
    parts = weights / (places.ends - places.starts)
    steps = np.zeros(length + 1)
    np.add.at(steps, places.starts, parts)
    np.add.at(steps, places.ends, -parts)
    return np.cumsum(steps)[:length]


def name_top(places: Places, weights: NDArray[np.float64], text: str) -> tuple[Ngram, ...]:
    """The n-grams of most weight in either direction, heaviest first."""
    sums: dict[str, float] = defaultdict(float)
    stands: dict[str, list[Span]] = defaultdict(list)
    for start, end, weight in zip(
        places.starts.tolist(), places.ends.tolist(), weights.tolist(), strict=True
    ):
        name = text[start:end].casefold()
        sums[name] += weight
        stands[name].append((start, end))
    best = sorted(sums, key=lambda name: -abs(sums[name]))[:TOP]
    return tuple(Ngram(name, sums[name], tuple(stands[name])) for name in best)
