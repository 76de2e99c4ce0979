"""Vectors of texts that can be compared: centred, whitened, by their cosine."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from spacy_bert_zh.checkpoint import check_finite
from spacy_bert_zh.errors import BertZhError

Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.int64], Vectors]
"""Places of neighbours, the nearest first, and their cosines; both of shape (texts, neighbours)."""

_QUERIES = 256
ALIKE = 0.9
"""The least cosine of a text's vector with what it was when it was indexed."""


@dataclass(frozen=True)
class Space:
    """Texts by their vectors, compared with all of them.

    Attributes:
        mean: Subtracted from vectors first; shape (width,).
        whiten: By which they are then multiplied, so that what varies anyway weighs less; shape
            (width, width).
        vectors: Of the texts after that, in float16; shape (texts, width).
    """

    mean: Vectors
    whiten: Vectors
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.vectors)

    def project(self, vectors: Any) -> Vectors:
        """Vectors of a backbone, shape (texts, width), as they are compared."""
        return cast(Vectors, (np.asarray(vectors, dtype=np.float32) - self.mean) @ self.whiten)

    def find(self, vectors: Any, count: int) -> Found:
        """The nearest texts, the nearest first.

        Args:
            vectors: Of a backbone; shape (texts, width).
            count: How many; fewer where there are fewer.
        """
        queries, count = unit(self.project(vectors)), min(count, len(self))
        places = np.zeros((len(queries), count), dtype=np.int64)
        cosines = np.zeros((len(queries), count), dtype=np.float32)
        for start in range(0, len(queries) if count else 0, _QUERIES):
            part = slice(start, start + _QUERIES)
            found = queries[part] @ self._wide.T  # (queries, texts)
            best = np.argpartition(-found, count - 1, axis=1)[:, :count]
            near = np.take_along_axis(found, best, axis=1)
            order = np.argsort(-near, axis=1, kind="stable")
            places[part] = np.take_along_axis(best, order, axis=1)
            cosines[part] = np.take_along_axis(near, order, axis=1)
        return places, cosines

    def is_of(self, vectors: Any) -> bool:
        """Whether a backbone that gives these vectors to the first texts gave theirs.

        Args:
            vectors: Shape (some texts, width), the width of any backbone.
        """
        if vectors.shape[1] != len(self.mean):
            return False
        now, then = (
            unit(self.project(vectors)),
            unit(self.vectors[: len(vectors)].astype(np.float32)),
        )
        return bool(((now * then).sum(axis=1) >= ALIKE).all())

    def to_bytes(self) -> bytes:
        """As safetensors."""
        return save({"mean": self.mean, "whiten": self.whiten, "vectors": self.vectors})

    @cached_property
    def _wide(self) -> Vectors:
        return unit(self.vectors.astype(np.float32))


def find_whitening(vectors: NDArray[Any], gold: NDArray[Any]) -> Vectors:
    """Find what makes the covariance of vectors about their labels' means that of a sphere.

    The covariance is drawn towards a sphere as far as the number of texts asks for (Ledoit and
    Wolf 2004).

    Args:
        vectors: Shape (texts, width).
        gold: 1 where a label holds; shape (texts, labels). A text of several labels counts for
            each, one of none for none.

    Returns:
        Shape (width, width).
    """
    from sklearn.covariance import ledoit_wolf

    rows, labels = np.nonzero(gold)
    vectors = vectors.astype(np.float64)
    present = np.unique(labels)
    means = np.stack([vectors[rows[labels == label]].mean(0) for label in present])
    centred = vectors[rows] - means[np.searchsorted(present, labels)]
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    values, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(np.maximum(values, 1e-12 * values.max()))
    return cast(Vectors, whiten.astype(np.float32))


def read_space(data: bytes, texts: int, where: Path | str) -> Space:
    """From what `Space.to_bytes` made.

    Args:
        data: Its bytes.
        texts: How many texts there must be.
        where: Whence, for the messages.

    Raises:
        BertZhError: They are damaged, or of another number of texts.
    """
    try:
        arrays = load(data)
        mean, whiten, vectors = (arrays[name] for name in ("mean", "whiten", "vectors"))
    except Exception as error:  # safetensors' own, KeyError
        raise BertZhError(f"{where} is damaged ({type(error).__name__}: {error})") from error
    for name, array in arrays.items():
        check_finite(name, array.astype(np.float32), where)
    width, kinds = len(mean), (mean.dtype, whiten.dtype, vectors.dtype)
    shapes = (mean.shape, whiten.shape, vectors.shape)
    if shapes != ((width,), (width, width), (texts, width)) or kinds != (
        np.float32,
        np.float32,
        np.float16,
    ):
        raise BertZhError(f"{where} is damaged: {texts} texts, vectors of {shapes}")
    return Space(mean, whiten, vectors)


def unit(rows: Any) -> Any:
    """Rows of length 1, but for those of length 0; shape (rows, width)."""
    lengths = (rows**2).sum(axis=1, keepdims=True) ** 0.5
    return rows / lengths.clip(1e-12)
