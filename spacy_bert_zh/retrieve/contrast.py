"""What pairs of texts that belong together are learnt by."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from thinc.types import Floats2d


def contrast(
    vectors: Floats2d, texts: Sequence[str], pairs: Sequence[str], temperature: float, xp: Any
) -> tuple[float, Floats2d]:
    """The loss of a batch of pairs, and its gradient.

    Each text has to tell its own pair from the pairs of all others in the batch, and each pair its
    own text: cross entropy over cosines divided by a temperature (InfoNCE, van den Oord et al.
    2018, arXiv 1807.03748, eq. 4; in both directions as in Radford et al. 2021, arXiv 2103.00020,
    figure 3). The same text twice is no negative of itself.

    Args:
        vectors: Of the texts, then of their pairs; shape (2 · pairs, width).
        texts: The texts.
        pairs: What belongs to each.
        temperature: By which cosines are divided.
        xp: NumPy or CuPy.

    Returns:
        The mean over the pairs and both directions, and a gradient shaped like `vectors`.
    """
    size = len(texts)
    lengths = xp.maximum(xp.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    units = vectors / lengths
    queries, answers = units[:size], units[size:]
    logits = queries @ answers.T / temperature
    logits[xp.asarray(_same(texts) | _same(pairs))] = -xp.inf
    loss, slope = 0.0, xp.zeros_like(logits)
    for axis in (0, 1):
        shares = xp.exp(logits - logits.max(axis=axis, keepdims=True))
        shares /= shares.sum(axis=axis, keepdims=True)
        own = xp.diagonal(shares)
        loss -= float(xp.log(xp.maximum(own, 1e-30)).mean()) / 2
        slope += (shares - xp.eye(size, dtype=shares.dtype)) / (2 * size * temperature)
    gradient = xp.concatenate([slope @ answers, slope.T @ queries])
    # Along a vector its length alone would change, which a cosine doesn't see.
    gradient -= units * (gradient * units).sum(axis=1, keepdims=True)
    return loss, cast(Floats2d, gradient / lengths)


def _same(texts: Sequence[str]) -> Any:
    """Where two places of a batch have the same text; shape (texts, texts)."""
    numbers = np.unique(np.asarray(texts, dtype=object).astype(str), return_inverse=True)[1]
    same = numbers[:, None] == numbers[None, :]
    np.fill_diagonal(same, False)
    return same
