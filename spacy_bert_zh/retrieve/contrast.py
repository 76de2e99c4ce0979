"""What vectors are learnt by that should be near each other: three losses, all over cosines."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from thinc.types import Floats2d


def infonce(
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
    units, lengths = _units(vectors, xp)
    queries, answers = units[:size], units[size:]
    logits = queries @ answers.T / temperature
    logits[xp.asarray(_same(texts) | _same(pairs))] = -xp.inf
    loss, slope = 0.0, xp.zeros_like(logits)
    for axis in (0, 1):
        shares = _softmax(logits, axis, xp)
        own = xp.diagonal(shares)
        loss -= float(xp.log(xp.maximum(own, 1e-30)).mean()) / 2
        slope += (shares - xp.eye(size, dtype=shares.dtype)) / (2 * size * temperature)
    gradient = xp.concatenate([slope @ answers, slope.T @ queries])
    return loss, _across(gradient, units, lengths)


def supcon(
    vectors: Floats2d, texts: Sequence[str], alike: Any, temperature: float, xp: Any
) -> tuple[float, Floats2d]:
    """The loss of a batch of labelled texts, and its gradient.

    Each text has to tell those of its label from all others in the batch (Khosla et al. 2020,
    arXiv 2004.11362, eq. 2). The same text twice is nothing to tell; a text without another of its
    label counts for nothing.

    Args:
        vectors: Of the texts; shape (texts, width).
        texts: The texts.
        alike: Which have a label in common; bool (texts, texts).
        temperature: By which cosines are divided.
        xp: NumPy or CuPy.

    Returns:
        The mean over the texts that count, and a gradient shaped like `vectors`.
    """
    units, lengths = _units(vectors, xp)
    left_out = _same(texts) | np.eye(len(texts), dtype=bool)
    alike = np.asarray(alike) & ~left_out
    counts = alike.sum(axis=1)
    if not counts.any():
        return 0.0, xp.zeros_like(vectors)
    logits = units @ units.T / temperature
    logits[xp.asarray(left_out)] = -xp.inf
    weight = (counts > 0) / (counts > 0).sum()
    share = (alike / np.maximum(counts, 1)[:, None]).astype(np.float32)
    wanted, weights = xp.asarray(share), xp.asarray(weight.astype(np.float32))[:, None]
    shares = _softmax(logits, 1, xp)
    loss = -float((weights * wanted * xp.log(xp.maximum(shares, 1e-30))).sum())
    slope = weights * (shares - wanted) / temperature
    return loss, _across((slope + slope.T) @ units, units, lengths)


def cosent(
    vectors: Floats2d, grades: Sequence[float], temperature: float, xp: Any
) -> tuple[float, Floats2d]:
    """The loss of a batch of graded pairs, and its gradient.

    A pair that is more alike than another has to have the higher cosine: the log of 1 + the sum
    of exp((cosine of the less alike - cosine of the more alike) / temperature) over all such two
    (CoSENT, Su 2022, https://kexue.fm/archives/8847, eq. 6).

    Args:
        vectors: Of the texts, then of their pairs; shape (2 · pairs, width).
        grades: How alike each pair is; only their order counts.
        temperature: By which cosines are divided.
        xp: NumPy or CuPy.

    Returns:
        The loss, and a gradient shaped like `vectors`.
    """
    size = len(grades)
    units, lengths = _units(vectors, xp)
    first, second = units[:size], units[size:]
    cosines = (first * second).sum(axis=1)
    given = xp.asarray(np.asarray(grades, dtype=np.float32))
    excess = (cosines[None, :] - cosines[:, None]) / temperature  # of the column over the row
    excess[given[:, None] <= given[None, :]] = -xp.inf
    top = max(0.0, float(excess.max()))
    parts = xp.exp(excess - top)
    total = parts.sum() + np.exp(-top)
    slope = ((parts.sum(axis=0) - parts.sum(axis=1)) / total / temperature)[:, None]
    gradient = xp.concatenate([slope * second, slope * first])
    return top + float(xp.log(total)), _across(gradient, units, lengths)


def _units(vectors: Floats2d, xp: Any) -> tuple[Any, Any]:
    lengths = xp.maximum(xp.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors / lengths, lengths


def _softmax(logits: Any, axis: int, xp: Any) -> Any:
    """Shares of logits, of which some may be minus infinity; in rows of nothing else, zeros."""
    top = logits.max(axis=axis, keepdims=True)
    shares = xp.exp(logits - xp.where(xp.isfinite(top), top, 0))
    return shares / xp.maximum(shares.sum(axis=axis, keepdims=True), 1e-30)


def _across(gradient: Any, units: Any, lengths: Any) -> Floats2d:
    """Of vectors, from that of units: along a vector its length alone would change."""
    gradient = gradient - units * (gradient * units).sum(axis=1, keepdims=True)
    return cast(Floats2d, gradient / lengths)


def _same(texts: Sequence[str]) -> Any:
    """Where two places of a batch have the same text; shape (texts, texts)."""
    numbers = np.unique(np.asarray(texts, dtype=object).astype(str), return_inverse=True)[1]
    same = numbers[:, None] == numbers[None, :]
    np.fill_diagonal(same, False)
    return same
