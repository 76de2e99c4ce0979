"""Integrated gradients on the embeddings of windows, along the packed way."""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from spacy_bert_zh.backbones.torch.bert import PooledBert
from spacy_bert_zh.backbones.torch.packed import embed
from spacy_bert_zh.pieces import MAX_BATCH_PIECES, Batch


def integrate(
    network: PooledBert,
    batch: Batch,
    baseline: NDArray[np.int64],
    directions: NDArray[np.float32],
    steps: int,
) -> NDArray[np.float64]:
    """Attribute what windows' vectors say to their pieces (Sundararajan et al. 2017, eq. 1).

    The straight way leads from the embeddings of other pieces at the same positions to those of
    the windows' own; the integral is that of Gauss and Legendre, exact for smooth functions with
    few steps.

    Args:
        network: In any state; it answers without dropout.
        batch: The windows.
        baseline: Ids of the pieces where the way begins; shape (pieces,).
        directions: What is attributed are the products of a vector with these; shape
            (directions, hidden size).
        steps: Points on the way.

    Returns:
        Shape (directions, pieces). Of each window they sum up to the difference that its vector
        makes to the baseline's, but for the error of the integral.
    """
    network.eval()
    device = network.bert.device
    with torch.no_grad():
        start = embed(network.bert, Batch(baseline, batch.lengths))  # (pieces, hidden)
        way = embed(network.bert, batch) - start
    points, shares = np.polynomial.legendre.leggauss(steps)
    points, shares = (points + 1) / 2, shares / 2
    slopes = way.new_zeros(len(directions), *way.shape)
    wanted = torch.from_numpy(directions).to(device)
    at_once = max(1, MAX_BATCH_PIECES // len(batch.ids))
    for first in range(0, steps, at_once):
        chosen = slice(first, first + at_once)
        tall, rows, turns = _repeat(batch, len(points[chosen]))
        here = torch.from_numpy(points[chosen].astype(np.float32)[turns]).to(device)[:, None]
        weigh = torch.from_numpy(shares[chosen].astype(np.float32)[turns]).to(device)[:, None]
        places = torch.from_numpy(rows).to(device)
        embedded = (start[places] + here * way[places]).requires_grad_()
        with torch.enable_grad():
            found = (network.pool(tall, embedded) @ wanted.T).sum(0)  # (directions,)
            for row, value in enumerate(found):
                (slope,) = torch.autograd.grad(value, embedded, retain_graph=True)
                slopes[row].index_add_(0, places, slope * weigh)
    attributed: Any = (slopes * way).double().sum(2).cpu().numpy()
    return cast(NDArray[np.float64], attributed)


def _repeat(batch: Batch, count: int) -> tuple[Batch, NDArray[np.int64], NDArray[np.int64]]:
    """Each window so many times; also the row and the turn of each piece."""
    ends = np.cumsum(batch.lengths)
    pairs = list(zip(ends - batch.lengths, ends, strict=True))
    rows = np.concatenate([np.tile(np.arange(start, end), count) for start, end in pairs])
    turns = np.concatenate([np.repeat(np.arange(count), end - start) for start, end in pairs])
    return Batch(batch.ids[rows], np.repeat(batch.lengths, count)), rows, turns
