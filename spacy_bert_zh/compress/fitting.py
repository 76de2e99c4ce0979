"""When the n-grams of an ensemble may answer alone, and how likely another answer then is."""

import math

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.cascade import Cascade, margins

GRID = [float(f"{2.0 ** (step / 16):.6g}") for step in range(128, -129, -1)]
"""Margins to try, from 256 to 1/256: fixed before any corpus is seen, or the bound wouldn't hold.
Each is 4.2 % less than the one before; JSON keeps their digits."""
TEMPERATURES = np.geomspace(1 / 64, 64, 193)
"""Temperatures to try, each 4.4 % more than the one before."""


def fit_cascade(
    linear: NDArray[np.float32],
    full: NDArray[np.float32],
    agree: float = 0.995,
    confidence: float = 0.95,
) -> Cascade | None:
    """Find the least margin from which the n-grams may answer alone.

    Of all texts like those given, at most 1 - `agree` then get another label than the whole
    ensemble gives. That holds with this confidence: margins are tried from the greatest down,
    each by the exact bound of Clopper and Pearson (1934) on the share of other labels, until the
    first that fails (fixed-sequence testing in Learn then Test, Angelopoulos et al. 2021, arXiv
    2110.01052). The temperature is that with the least cross-entropy to the ensemble's scores
    on the texts that the n-grams answer.

    Args:
        linear: Logits of the n-grams on texts that nothing was trained on, (texts, labels).
        full: Those of the whole ensemble, same shape.
        agree: Share of texts that should keep their label.
        confidence: How sure that should be.

    Returns:
        The cascade; None if no margin of the grid lets the n-grams answer any text.

    Raises:
        BertZhError: A share is out of range, or these are too few texts for any bound.

    Examples:
        >>> sure = np.array([[4.0, 0.0], [0.0, 4.0]] * 500, dtype="float32")
        >>> fit_cascade(sure, 2 * sure)
        Cascade(margin=0.00390625, temperature=0.5)
    """
    for name, share in (("agree", agree), ("confidence", confidence)):
        if not 0 < share < 1:
            raise BertZhError(f"{name} = {share:g} must lie between 0 and 1, both excluded")
    needed = math.ceil(math.log(1 - confidence) / math.log(agree))
    if len(linear) < needed:
        raise BertZhError(
            f"{len(linear)} texts are too few for agree = {agree:g} with a confidence of "
            f"{confidence:.0%}: give {needed:,} or more, or ask for less"
        )
    margin = margins(linear)
    differs = linear.argmax(axis=1) != full.argmax(axis=1)
    best = None
    for least in GRID:
        if _upper(int(differs[margin >= least].sum()), len(margin), confidence) > 1 - agree:
            break
        best = least
    if best is None or not (sure := margin >= best).any():
        return None
    return Cascade(margin=best, temperature=_temperature(linear[sure], full[sure]))


def _upper(events: int, trials: int, confidence: float) -> float:
    """The share that is, with this confidence, not exceeded (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    if events == trials:
        return 1.0
    return float(beta.ppf(confidence, events + 1, trials - events))


def _temperature(linear: NDArray[np.float32], full: NDArray[np.float32]) -> float:
    """What brings scores of shape (texts, labels) nearest to those of the ensemble."""
    target = np.exp(_log_softmax(full))
    losses = [-(target * _log_softmax(linear / t)).sum(axis=1).mean() for t in TEMPERATURES]
    return float(f"{TEMPERATURES[int(np.argmin(losses))]:.6g}")


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
