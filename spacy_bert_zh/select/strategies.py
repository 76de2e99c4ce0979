"""Which of some texts tell a classifier most: unsure ones, and such as differ. NumPy only."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Vectors = NDArray[np.float64]


def unsureness(scores: Scores, exclusive: bool, strategy: str) -> NDArray[np.float64]:
    """How unsure answers are, the higher the less sure (Settles 2009, section 3.1).

    Args:
        scores: Shape (texts, labels).
        exclusive: Whether a text has exactly one label; else each label is a question of its own,
            and the least sure one counts.
        strategy: "entropy"; any other takes the margin between the two best labels.

    Returns:
        From 0 to 1; shape (texts,).
    """
    if not exclusive:
        return cast(NDArray[np.float64], (1.0 - 2.0 * np.abs(scores - 0.5)).max(axis=1))
    if strategy == "entropy":
        logs = np.log(np.maximum(scores, 1e-12))
        entropies: NDArray[np.float64] = -(scores * logs).sum(axis=1) / np.log(scores.shape[1])
        return entropies
    best = np.partition(scores, -2, axis=1)[:, -2:]
    margins: NDArray[np.float64] = 1.0 - (best[:, 1] - best[:, 0])
    return margins


def differences(scores: Scores, given: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores less the labels that are given: the loss's gradient by the logits, (texts, labels)."""
    return scores - given


def badge(
    gradients: NDArray[np.float64], vectors: Vectors, count: int, rng: np.random.Generator
) -> list[int]:
    """Choose texts by k-means++ on gradient embeddings (BADGE, Ash et al. 2020, algorithm 1).

    A text's embedding is the outer product of the gradient by its logits and its vector, as long
    as the text is unsure and with a direction of its own; it is never written out, for products
    of such embeddings are products of their parts.

    Args:
        gradients: By the logits; shape (texts, labels).
        vectors: Shape (texts, width).
        count: How many to choose, at most.
        rng: Of the draws.

    Returns:
        Places of the chosen ones, in the order of their choice.
    """
    squares = (gradients**2).sum(1) * (vectors**2).sum(1)
    chosen = [int(squares.argmax())]
    distances = np.full(len(squares), np.inf)
    while len(chosen) < min(count, len(squares)):
        last = chosen[-1]
        products = (gradients @ gradients[last]) * (vectors @ vectors[last])
        distances = np.minimum(distances, squares + squares[last] - 2.0 * products)
        distances[chosen] = 0.0
        weights = np.maximum(distances, 0.0)
        if not weights.any():  # nothing differs any more: the least sure of the rest
            rest = np.setdiff1d(np.argsort(-squares, kind="stable"), chosen, assume_unique=True)
            return [*chosen, *rest[: count - len(chosen)].tolist()]
        chosen.append(int(rng.choice(len(weights), p=weights / weights.sum())))
    return chosen
