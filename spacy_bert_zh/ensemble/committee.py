"""Several runs that answer together: the mean of their logits, in one pipeline.

As the logits are linear in the vectors of the BERTs and in the n-grams, a committee is an ordinary
classifier: one head on the vectors of all BERTs side by side, and one table of n-grams.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Config

from spacy_bert_zh.ensemble.runs import Run, check_same, put
from spacy_bert_zh.loading import Parts, find_textcat
from spacy_bert_zh.pieces import sections_of
from spacy_bert_zh.textcat import shims_of
from spacy_bert_zh.trust.scaling import logit

ARCHITECTURE = "spacy_bert_zh.CommitteeBackbone.v1"
PULL = 100.0
"""So many texts that tell of no difference between the runs are added to the dev texts."""


def seat(runs: Sequence[Run]) -> tuple[Language, list[float]]:
    """Let runs answer together, each with its share of the logits.

    The geometric mean of their scores (a logarithmic opinion pool, Genest & Zidek 1986, eq. 3.1)
    with the shares by which the dev texts' labels are likeliest.

    Args:
        runs: Of any checkpoints and lengths, with the same labels and architecture.

    Returns:
        The pipeline, and the share of each run.

    Raises:
        BertZhError: They are too different.
    """
    check_same(
        runs,
        ("components", lambda run: [run.nlp.get_pipe_meta(n).factory for n in run.nlp.pipe_names]),
        ("settings of the model", _describe),
    )
    shares = find_shares(runs)
    return join(runs, shares), shares.tolist()


def find_shares(runs: Sequence[Run]) -> NDArray[np.float64]:
    """The shares of runs by which the true labels are likeliest; shape (runs,), their sum is 1.

    Drawn to equal ones as if `PULL` texts told nothing, so that few texts can't choose a run.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    said = runs[0].said
    logits = np.stack([_logits(run) for run in runs])
    weights = said.known & (said.gold.any(axis=1, keepdims=True) | (not said.exclusive))
    count = max(int(weights.any(axis=1).sum()), 1)

    def loss(free: NDArray[np.float64]) -> float:
        mixed = np.tensordot(softmax(free), logits, axes=1)
        if said.exclusive:
            likely = (log_softmax(mixed, axis=1) * said.gold)[weights]
        else:
            likely = -np.logaddexp(0, np.where(said.gold, -mixed, mixed))[weights]
        return float(-likely.sum() - PULL * log_softmax(free).mean()) / count

    found: NDArray[np.float64] = softmax(minimize(loss, np.zeros(len(runs))).x)
    return found


def _logits(run: Run) -> NDArray[np.float64]:
    scores = run.said.scores.astype(np.float64)
    if run.said.exclusive:
        return np.log(np.clip(scores, 1e-12, 1.0))
    return logit(scores)


def join(runs: Sequence[Run], shares: NDArray[np.float64]) -> Language:
    """One pipeline of several.

    Args:
        runs: See `seat`.
        shares: Of the logits; shape (runs,).
    """
    first, name = runs[0], runs[0].pipe.name
    config = Config(first.nlp.config).copy()
    config["components"][name]["model"]["backbone"] = {
        "@architectures": ARCHITECTURE,
        "*": {str(number): one for number, one in enumerate(_backbones(runs))},
    }
    nlp = load_model_from_config(config, meta=dict(first.nlp.meta), auto_fill=True)
    nlp.from_bytes(first.nlp.to_bytes(exclude=[name]), exclude=[name])
    pipe: Any = find_textcat(nlp, name)
    pipe.from_bytes(first.pipe.to_bytes(exclude=["model"]), exclude=["model"])
    parts = _add([run.parts for run in runs], shares)
    _initialize(pipe.model, runs, parts, nlp.make_doc("好"))
    put(pipe, parts)
    return nlp


def _add(parts: Sequence[Parts], shares: NDArray[np.float64]) -> Parts:
    """Parts whose logits are the sum of those of others, times their shares."""

    def total(arrays: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        return np.tensordot(shares, np.stack(arrays), axes=1).astype(np.float32)

    weights = [share * one.weights for share, one in zip(shares, parts, strict=True)]
    tables = [one.ngrams for one in parts if one.ngrams is not None]
    return Parts(
        networks=tuple(network for one in parts for network in one.networks),
        labels=parts[0].labels,
        weights=np.concatenate(weights, axis=1).astype(np.float32),
        bias=total([one.bias for one in parts]),
        exclusive_classes=parts[0].exclusive_classes,
        ngrams=total(tables) if tables else None,
        ngram_size=parts[0].ngram_size,
    )


def _initialize(model: Any, runs: Sequence[Run], parts: Parts, doc: Doc) -> None:
    """Give layers their sizes, and the head the scale of the vectors that each run's had."""
    for shim, network in zip(shims_of(model), parts.networks, strict=True):
        shim.fill(network.checkpoint)
    model.initialize(X=[doc], Y=model.ops.alloc2f(1, len(parts.labels)))
    head = model.get_ref("output_layer")
    heads = [run.pipe.model.get_ref("output_layer") for run in runs]
    for name in ("mean", "scale"):
        if head.has_param(name):
            head.set_param(name, model.ops.xp.concatenate([one.get_param(name) for one in heads]))


def _backbones(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The settings of all BERTs; a committee's are its members'."""
    found: list[dict[str, Any]] = []
    for run in runs:
        one = Config(run.nlp.config).copy()["components"][run.pipe.name]["model"]["backbone"]
        found += sections_of(one).values()
    return found


def _describe(run: Run) -> dict[str, Any]:
    """The settings of a model, but for its backbone."""
    model = run.nlp.config.interpolate()["components"][run.pipe.name]["model"]
    return {key: value for key, value in model.items() if key not in ("backbone", "dropout")}
