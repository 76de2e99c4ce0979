"""Windows of word pieces without their padding, for Keras' layers."""

from typing import Any

from keras import ops


class Packing:
    """Pieces of padded windows laid end to end, for all that sees each piece alone.

    Their number is known only when the graph runs, which not every backend of Keras can do
    (TensorFlow and torch can, JAX can't).

    Args:
        real: Whether a piece is one; shape (windows, length).
    """

    def __init__(self, real: Any) -> None:
        flat = ops.reshape(real, (-1,))
        self.windows, self.length = ops.shape(real)
        self.places = ops.nonzero(flat)[0]
        self.firsts = ops.cumsum(ops.sum(ops.cast(real, "int32"), axis=1), axis=0)
        self.firsts -= ops.sum(ops.cast(real, "int32"), axis=1)
        # Where nothing is, some other piece: the mask hides it.
        self.rows = ops.cumsum(ops.cast(flat, "int32"), axis=0) - 1

    def pack(self, padded: Any) -> Any:
        """Shape (windows, length, …) to (pieces, …)."""
        shape = ops.shape(padded)
        return _take(ops.reshape(padded, (-1, *shape[2:])), self.places)

    def pad(self, rows: Any) -> Any:
        """Shape (pieces, width) to (windows, length, width)."""
        padded = _take(rows, self.rows)
        return ops.reshape(padded, (self.windows, self.length, rows.shape[-1]))

    def first(self, rows: Any) -> Any:
        """Each window's first piece: shape (pieces, width) to (windows, 1, width)."""
        return _take(rows, self.firsts)[:, None]


class Padded:
    """What `Packing` does, for windows that stay padded."""

    def pack(self, padded: Any) -> Any:
        """The same."""
        return padded

    def pad(self, rows: Any) -> Any:
        """The same."""
        return rows

    def first(self, rows: Any) -> Any:
        """Shape (windows, length, width) to (windows, 1, width)."""
        return rows[:, :1]


def _take(rows: Any, places: Any) -> Any:
    # Reshaped to what it is: the slices that are take's gradient become dense, as remat needs.
    return ops.take(ops.reshape(rows, ops.shape(rows)), places, axis=0)
