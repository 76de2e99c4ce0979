"""Noise on the embeddings of a batch, against which a backbone learns: adversarial training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from thinc.api import Ops

from spacy_bert_zh.pieces.encoder import Encoded


class Perturbation:
    """What is added to the embeddings of a batch, and how it grows worse.

    For as long as a backbone's shim has one, each of its passes adds `noise`, and the way back
    leaves the gradient in `gradient`. Both are lists with an array for each batch of windows,
    shape (pieces, width), or None before the first pass.

    Attributes:
        searches: Whether the way back is for that gradient alone, and the weights learn nothing.
    """

    def __init__(self, ops: Ops) -> None:
        self.searches = False
        self.noise: list[Any] | None = None
        self.gradient: list[Any] = []
        self._ops = ops
        self._lengths: list[NDArray[np.int64]] = []
        self._norms: list[Any] = []

    def begin(self, encoded: Encoded, embedded: list[Any]) -> list[Any]:
        """Tell what is added to a batch; a backbone asks before each pass.

        Args:
            encoded: The windows, the same in each pass.
            embedded: Their embeddings, of which the first ones give the noise its scale; an array
                of shape (pieces, width) for each batch of windows.
        """
        if self.noise is None:
            self._lengths = [batch.lengths for batch in encoded.batches]
            pairs = zip(embedded, self._lengths, strict=True)
            self._norms = [self._norm_of(*pair) for pair in pairs]
            self.noise = [self._ops.xp.zeros_like(one) for one in embedded]
        return self.noise

    def ascend(self, step: float, most: float) -> None:
        """Go up the loss: where the gradient points, and no farther than so much in all.

        A step is `step` times the length of a window's embeddings along its gradient, brought to
        length 1 (Miyato et al. 2017, arXiv 1605.07725, eq. 5); what then is longer than `most`
        is projected back (Madry et al. 2018, arXiv 1706.06083, section 2.1).
        """
        assert self.noise is not None
        for number, gradient in enumerate(self.gradient):
            lengths, norms = self._lengths[number], self._norms[number]
            length = self._ops.xp.maximum(self._norm_of(gradient, lengths), 1e-12)
            noise = self.noise[number] + self._spread(step * norms / length, lengths) * gradient
            length = self._ops.xp.maximum(self._norm_of(noise, lengths), 1e-12)
            shrink = self._ops.xp.minimum(most * norms / length, 1.0)
            self.noise[number] = noise * self._spread(shrink, lengths)

    def _norm_of(self, rows: Any, lengths: NDArray[np.int64]) -> Any:
        """Euclidean length of each window's rows together; shape (windows,)."""
        sums = self._ops.xp.cumsum((rows.astype("float64") ** 2).sum(axis=1))
        ends = self._ops.xp.asarray(np.cumsum(lengths) - 1)
        return self._ops.xp.sqrt(self._ops.xp.diff(sums[ends], prepend=0.0)).astype("float32")

    def _spread(self, values: Any, lengths: NDArray[np.int64]) -> Any:
        """A value for each window to one for each of its pieces; shape (pieces, 1)."""
        owners = self._ops.xp.asarray(np.repeat(np.arange(len(lengths)), lengths))
        return values[owners][:, None]
