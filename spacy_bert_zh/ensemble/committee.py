"""Several runs that answer together: their logits mixed, in one pipeline.

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

from spacy_bert_zh.ensemble.mixture import Mixture, mix
from spacy_bert_zh.ensemble.runs import Run, check_same, find_logits, put
from spacy_bert_zh.loading import Parts, find_textcat
from spacy_bert_zh.pieces import sections_of
from spacy_bert_zh.textcat import shims_of

ARCHITECTURE = "spacy_bert_zh.CommitteeBackbone.v1"
PULL = 100.0
"""So many texts that tell of no difference between the runs are added to the dev texts."""


def check_seats(runs: Sequence[Run]) -> None:
    """Whether runs can answer together: of any checkpoints and lengths.

    Raises:
        BertZhError: Their labels or architectures differ.
    """
    check_same(
        runs,
        ("components", lambda run: [run.nlp.get_pipe_meta(n).factory for n in run.nlp.pipe_names]),
        ("settings of the model", _describe),
    )


def find_shares(runs: Sequence[Run]) -> NDArray[np.float64]:
    """The shares of runs by which the true labels are likeliest; shape (runs,), their sum is 1.

    With them the scores are the geometric mean of the runs' (a logarithmic opinion pool, Genest &
    Zidek 1986, eq. 3.1). Drawn to equal ones as if `PULL` texts told nothing, so that few texts
    can't choose a run.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    said = runs[0].said
    logits = find_logits(np.stack([run.said.scores for run in runs]), said.exclusive)
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


def join(runs: Sequence[Run], mixture: Mixture) -> Language:
    """One pipeline of several.

    Args:
        runs: See `seat`.
        mixture: Of their logits, labels in the order of the runs' own.
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
    parts = mix([run.parts for run in runs], mixture)
    _initialize(pipe.model, runs, parts, nlp.make_doc("好"))
    put(pipe, parts)
    return nlp


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
