"""Trained pipelines that are to become one, and what they say of a corpus."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import Predictions, predict
from spacy_bert_zh.loading import Parts, find_textcat, load_pipeline, take_apart
from spacy_bert_zh.textcat import set_table, shims_of
from spacy_bert_zh.textcat.head import set_plain_weights
from spacy_bert_zh.trust.scaling import logit

_FITTED = {
    **{"cascade": "compress", "decision": "calibrate", "thresholds": "calibrate"},
    "neighbours": "index",
}


@dataclass(frozen=True)
class Run:
    """One of them.

    Attributes:
        name: What to call it: its folder and the one around it, or its package.
        nlp: The pipeline.
        pipe: Its text classifier.
        parts: Of that.
        dev: The dev texts.
    """

    name: str
    nlp: Language
    pipe: Any
    parts: Parts
    dev: Path

    @cached_property
    def said(self) -> Predictions:
        """What it says of the dev texts. Asked after `check_same`: that names who differs."""
        return predict(self.nlp, self.pipe, self.dev)

    @property
    def score(self) -> float:
        """Micro F1 on the dev texts, which is the accuracy where labels exclude each other."""
        return micro_f1(self.said)


def load_run(pipeline: str | Path, dev: Path, component: str | None) -> Run:
    """Load a pipeline, and leave out what was fitted to its scores.

    Raises:
        BertZhError: It can't be loaded, or has no BERT of its own.
    """
    nlp = load_pipeline(pipeline)
    pipe = find_textcat(nlp, component)
    _forget(pipe)
    path = Path(pipeline)
    name = f"{path.resolve().parent.name}/{path.name}" if path.exists() else str(pipeline)
    return Run(name, nlp, pipe, take_apart(pipe), dev)


def micro_f1(said: Predictions) -> float:
    """2 · right labels / (given and true ones)."""
    both = (said.gold * said.predicted).sum()
    return float(2 * both / max(said.gold.sum() + said.predicted.sum(), 1))


def find_logits(scores: NDArray[Any], exclusive: bool) -> NDArray[np.float64]:
    """What scores were made of; where labels exclude each other, but for a constant of each text.

    Args:
        scores: Of any shape that ends with labels.
        exclusive: Whether labels exclude each other.
    """
    scores = scores.astype(np.float64)
    return np.log(np.maximum(scores, 1e-12)) if exclusive else logit(scores)


def check_same(runs: Sequence[Run], *others: tuple[str, Any]) -> None:
    """Whether pipelines have the same labels, and are the same in what else they must be.

    Args:
        runs: The pipelines; each is compared with the first.
        others: What is compared, by its name, and what gives it for a run.

    Raises:
        BertZhError: One differs; it names the first thing.
    """
    first = runs[0]
    labels = ("labels", lambda run: (run.parts.labels, run.pipe.cfg.get("taxonomy")))
    for run in runs[1:]:
        for what, of in (labels, *others):
            if of(run) != of(first):
                raise BertZhError(
                    f"{run.name} has other {what} than {first.name}, so they can't become one "
                    "in this way: take runs that differ less, or see docs/ensemble.md"
                )


def put(pipe: TextCategorizer, parts: Parts) -> None:
    """Give a text classifier other weights.

    Args:
        pipe: One of the architecture that the parts are of.
        parts: See `loading.take_apart`.
    """
    model: Any = pipe.model
    for shim, network in zip(shims_of(model), parts.networks, strict=True):
        shim.fill(network.checkpoint)
    set_plain_weights(model.get_ref("output_layer"), parts.weights, parts.bias)
    if parts.ngrams is not None:
        weights = parts.ngrams.weights / np.float32(model.attrs["linear_rate"])
        set_table(model.layers[2], parts.ngrams._replace(weights=weights))


def _forget(pipe: Any) -> None:
    """What was fitted to one run's scores doesn't hold of the outcome's."""
    for name, command in _FITTED.items():
        if pipe.cfg.get(name):
            pipe.cfg[name] = None
            what = command if name == "neighbours" else name
            print(f"The {what} of one run is left out: '{command}' fits another to the outcome")
    pipe.neighbours = None  # vectors of one run; `cfg` told of them
