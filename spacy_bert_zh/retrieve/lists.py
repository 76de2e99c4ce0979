"""Vectors of up to a million texts, in lists by where they lie: a search looks into some of them.

An inverted file (Sivic & Zisserman 2003; Jégou et al. 2011, IEEE TPAMI 33(1), section IV): k-means
finds centres, each text is in the list of its nearest one, and a search compares a question with
the texts of the lists whose centres are nearest to it. Vectors are kept in bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from spacy_bert_zh.checkpoint import Tensor, check_finite, list_tensors
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.space import Found, Space, Vectors, unit

MOST = 1_000_000
"""Texts at most."""
EXACT = 100_000
"""So many texts are all compared; of more, those of some lists."""
LOOKED = 16
"""Lists that a search looks into."""
_SAMPLE = 50
"""So many texts for each centre are enough for k-means."""
_ROWS = 16_384
_AT_ONCE = 512
_KINDS = {"codes": "int8", "places": "int32", "ends": "int64"}
_NAMES = {"int8": "I8", "int32": "I32", "int64": "I64", "float32": "F32"}


@dataclass(frozen=True)
class Lists:
    """Texts by their vectors, of which a search compares some.

    Attributes:
        space: How vectors are made comparable; without any.
        centres: Of the lists, each of length 1; shape (lists, width).
        ends: Where lists begin and end; shape (lists + 1,).
        places: Which text stands where; shape (texts,).
        codes: Vectors of length 1 in that order, each divided by its scale; shape (texts, width).
        scales: Of `codes`; shape (texts,).
    """

    space: Space
    centres: Vectors
    ends: NDArray[np.int64]
    places: NDArray[np.int32]
    codes: NDArray[np.int8]
    scales: Vectors

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def build(cls, space: Space, vectors: Any) -> Self:
        """From vectors.

        Args:
            space: How they are made comparable.
            vectors: Of a backbone; shape (texts, width).
        """
        count = max(1, round(len(vectors) ** 0.5))
        centres = _find_centres(space, vectors, count)
        nearest = np.empty(len(vectors), dtype=np.int64)
        codes = np.empty(vectors.shape, dtype=np.int8)
        scales = np.empty(len(vectors), dtype=np.float32)
        for start in range(0, len(vectors), _ROWS):
            part = slice(start, start + _ROWS)
            rows = unit(space.project(vectors[part]))
            nearest[part] = (rows @ centres.T).argmax(axis=1)
            scales[part] = np.abs(rows).max(axis=1).clip(1e-12) / 127
            codes[part] = np.rint(rows / scales[part, None])
        order = np.argsort(nearest, kind="stable")
        ends = np.searchsorted(nearest[order], np.arange(count + 1))
        return cls(space, centres, ends, order.astype(np.int32), codes[order], scales[order])

    def find(self, vectors: Any, count: int, looked: int = LOOKED) -> Found:
        """The nearest texts of the lists that are nearest; see `Space.find`.

        Args:
            vectors: Of a backbone; shape (texts, width).
            count: How many; fewer where there are fewer.
            looked: Into how many lists it looks; into more where these have fewer texts.
        """
        count = min(count, len(self))
        # One place for what is compared: to get memory takes as long as to compare.
        room = np.empty((_AT_ONCE, self.codes.shape[1]), dtype=np.float32)
        questions = unit(self.space.project(vectors))
        found = [self._find_one(one, count, looked, room) for one in questions]
        places, cosines = (np.stack(part) for part in zip(*found, strict=True))
        return places, cosines

    def _find_one(self, question: Vectors, count: int, looked: int, room: Vectors) -> Found:
        lists = np.argsort(-(self.centres @ question), kind="stable")
        enough = np.searchsorted(np.cumsum(np.diff(self.ends)[lists]), count) + 1
        spans = [(self.ends[one], self.ends[one + 1]) for one in lists[: max(looked, enough)]]
        cosines = np.concatenate([self._compare(question, *span, room) for span in spans])
        rows = np.concatenate([np.arange(start, end) for start, end in spans])
        best = np.arange(len(rows))
        if count < len(rows):
            best = np.argpartition(-cosines, count - 1)[:count]
        best = best[np.lexsort((self.places[rows[best]], -cosines[best]))]
        return self.places[rows[best]].astype(np.int64), cosines[best]

    def _compare(self, question: Vectors, start: int, end: int, room: Vectors) -> Vectors:
        found = np.empty(end - start, dtype=np.float32)
        for first in range(start, end, len(room)):
            codes = self.codes[first : min(first + len(room), end)]
            part = room[: len(codes)]
            part[:] = codes
            np.dot(part, question, out=found[first - start : first - start + len(codes)])
        return found * self.scales[start:end]

    def is_of(self, vectors: Any) -> bool:
        """Whether a backbone gives these vectors to the first texts; see `Space.is_of`."""
        rows = [int(np.flatnonzero(self.places == place)[0]) for place in range(len(vectors))]
        kept = self.codes[rows].astype(np.float32) * self.scales[rows, None]
        known = Space(np.zeros_like(self.space.mean), np.eye(kept.shape[1], dtype=np.float32), kept)
        same_width = vectors.shape[1] == len(self.space.mean)
        return same_width and known.is_of(self.space.project(vectors))

    def save(self, path: Path) -> None:
        """Write it, as safetensors."""
        arrays = {"mean": self.space.mean, "whiten": self.space.whiten, "centres": self.centres}
        arrays |= {"ends": self.ends, "places": self.places}  # type: ignore[dict-item]
        arrays |= {"codes": self.codes, "scales": self.scales}  # type: ignore[dict-item]
        save_file(arrays, path)


def read_lists(path: Path, texts: int) -> Lists:
    """From what `Lists.save` wrote; the vectors stay in the file until they are needed.

    Args:
        path: The file.
        texts: How many texts there must be.

    Raises:
        BertZhError: It is damaged, or of another number of texts.
    """
    tensors = list_tensors(path)
    names = ("mean", "whiten", "centres", "ends", "places", "codes", "scales")
    if missing := [name for name in names if name not in tensors]:
        raise BertZhError(f"{path} is damaged: it lacks {', '.join(missing)}")
    mean, whiten, centres, ends, places, codes, scales = (
        _map(tensors[name], _KINDS.get(name, "float32")) for name in names
    )
    width, lists = len(mean), len(centres)
    shapes = [one.shape for one in (mean, whiten, centres, ends, places, codes, scales)]
    expected = [(width,), (width, width), (lists, width), (lists + 1,)]
    if shapes != [*expected, (texts,), (texts, width), (texts,)]:
        raise BertZhError(f"{path} is damaged: {texts:,} texts, tensors of {shapes}")
    for name, array in {"mean": mean, "whiten": whiten, "centres": centres}.items():
        check_finite(name, array, path)
    check_finite("scales", scales, path)
    whole = ends[0] == 0 and ends[-1] == texts and bool((np.diff(ends) >= 0).all())
    if not whole or not np.array_equal(np.sort(places), np.arange(texts)):
        raise BertZhError(f"{path} is damaged: its lists don't hold each text once")
    none = Space(np.array(mean), np.array(whiten), np.zeros((0, width), dtype=np.float16))
    return Lists(none, np.array(centres), np.array(ends), np.array(places), codes, np.array(scales))


def _map(tensor: Tensor, kind: str) -> Any:
    if tensor.dtype != _NAMES[kind] or not tensor.shape or 0 in tensor.shape:
        raise BertZhError(f"{tensor.path} is damaged: {tensor.dtype} of {tensor.shape}")
    return np.memmap(tensor.path, kind, "r", tensor.start, tensor.shape)


def _find_centres(space: Space, vectors: Any, count: int) -> Vectors:
    from sklearn.cluster import MiniBatchKMeans

    sample = np.random.default_rng(0).permutation(len(vectors))[: count * _SAMPLE]
    rows = unit(space.project(vectors[np.sort(sample)]))
    means = MiniBatchKMeans(
        count, init="random", n_init=1, batch_size=4096, max_iter=20, random_state=0
    )
    return cast(Vectors, unit(means.fit(rows).cluster_centers_.astype(np.float32)))
