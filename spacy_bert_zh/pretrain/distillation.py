"""Learning from a teacher's vectors of whole texts."""

import torch
from torch.nn import functional

TEMPERATURE = 0.05
"""Divides cosines before a softmax: the smaller, the more the nearest texts count alone."""
WEIGHT = 10.0
"""Of the cosine beside the cross-entropy of a masked piece, which is some ten times larger."""


def pool(hidden: torch.Tensor, texts: torch.Tensor, count: int) -> torch.Tensor:
    """Mean over the pieces of each text, as `TorchBackbone` pools.

    Args:
        hidden: Hidden states; shape (rows, length, width).
        texts: Which text a piece belongs to, `count` on padding; shape (rows, length).
        count: How many texts there are.

    Returns:
        Shape (texts, width), float32.
    """
    places = texts.flatten()  # (pieces,)
    rows = hidden.flatten(0, 1).float()  # (pieces, width)
    sums = rows.new_zeros(count + 1, rows.shape[1]).index_add(0, places, rows)
    sizes = torch.bincount(places, minlength=count + 1)
    return sums[:count] / sizes[:count, None]


def taught_loss(
    vectors: torch.Tensor, projected: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """How far a pupil is from its teacher, over the texts of a batch.

    The distance of directions, 1 - cosine (Reimers and Gurevych 2020, arXiv 2004.09813, have the
    squared one), and the relations between texts: the cross-entropy between the softmax over one
    text's cosines to all others, the teacher's and the pupil's, less what it is at its best
    (Fang et al. 2021, arXiv 2101.04731, eq. 3, with the batch in place of a queue).

    Args:
        vectors: The pupil's; shape (texts, width).
        projected: The pupil's, as wide as the teacher's; shape (texts, teacher's width).
        targets: The teacher's, of length 1; shape (texts, teacher's width).

    Returns:
        A number.
    """
    distance = 1 - functional.cosine_similarity(projected, targets).mean()
    if len(targets) < 3:  # a text has one other at most: no relation to learn
        return WEIGHT * distance
    centred = functional.normalize(vectors - vectors.mean(0))
    relations = functional.kl_div(
        _relations(centred), _relations(targets), log_target=True, reduction="batchmean"
    )
    return WEIGHT * distance + relations


def _relations(vectors: torch.Tensor) -> torch.Tensor:
    """Log shares that each text's neighbours have, itself left out: (texts, texts - 1)."""
    count = len(vectors)
    cosines = vectors @ vectors.T / TEMPERATURE  # (texts, texts)
    # Without its diagonal: the rows laid end to end, then every (count + 1)-th entry dropped.
    others = cosines.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)
    return functional.log_softmax(others, dim=-1)
