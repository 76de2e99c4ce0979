"""A teacher's vectors on disk. NumPy only."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK = 2048
"""Documents of one file of vectors: what a kill costs at most."""


class Vectors:
    """A teacher's vectors of all documents of a part, of length 1 about their common mean.

    Vectors of one encoder lie close together: only what lies between them tells texts apart.

    Args:
        folder: Of the part; `teach` has been there.
        count: How many documents it has.
        mean: The common mean; None takes that of this part.
    """

    def __init__(self, folder: Path, count: int, mean: NDArray[np.float32] | None = None) -> None:
        self._chunks = [
            np.asarray(np.load(chunk_path(folder, number), mmap_mode="r", allow_pickle=False))
            for number in range(-(-count // CHUNK))
        ]
        self.width = self._chunks[0].shape[1] if count else 0
        if mean is None:
            sums = [chunk.astype(np.float64).sum(axis=0) for chunk in self._chunks]
            mean = (np.sum(sums, axis=0) / max(count, 1)).astype(np.float32)
        self.mean = mean

    def __getitem__(self, documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of some documents, shape (documents, width)."""
        rows = [self._chunks[number // CHUNK][number % CHUNK] for number in documents.tolist()]
        return unit(np.asarray(rows, dtype=np.float32).reshape(-1, self.width) - self.mean)


def chunk_path(folder: Path, number: int) -> Path:
    """The file of one chunk of a part's vectors."""
    return folder / "vectors" / f"{number:05}.npy"


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same directions with length 1; shape (texts, width)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
