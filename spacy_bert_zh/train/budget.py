"""A training that keeps to a time: as many steps as fit into it on this machine."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from spacy.language import Language
from spacy.training import Example
from thinc.api import Optimizer

from spacy_bert_zh.train.resume import models

EVALUATIONS = 10
"""Evaluations of a training that nobody says more of."""
WARM_UP, MEASURED = 2, 8
"""Steps before the clock runs, and while it does."""
DEV_SAMPLE = 256
"""Texts whose evaluation is timed."""
FOR_ALL, FOR_EVALUATIONS = 0.9, 0.15
"""Shares of the time: for steps and evaluations, and for evaluations alone."""

Batcher = Callable[[Iterable[Example]], Iterable[list[Example]]]


@dataclass(frozen=True)
class Budget:
    """What there is time for.

    Attributes:
        steps: Steps of training.
        evaluations: Times that the development set is gone through.
    """

    steps: int
    evaluations: int


def measure_budget(
    nlp: Language,
    train: Iterable[Example],
    dev: Iterable[Example],
    batcher: Batcher,
    optimizer: Optimizer,
    minutes: float,
) -> Budget:
    """Find out what a time has room for, at the speed of the first steps.

    The pipeline learns some steps and is put back to where it stood.

    Args:
        nlp: Initialised.
        train: What it will learn from.
        dev: What it will be evaluated on.
        batcher: Makes the batches.
        optimizer: One of its own, whose state is of no use afterwards.
        minutes: For the whole training.
    """
    before, state = [(model, model.to_bytes()) for _, model in models(nlp)], random.getstate()
    step = _time_step(nlp, list(islice(batcher(train), WARM_UP + MEASURED)), optimizer)
    for model, weights in before:
        model.from_bytes(weights)
    texts = list(dev)
    sample = texts[:: -(-len(texts) // DEV_SAMPLE)]
    start = time.perf_counter()
    nlp.evaluate(sample)
    evaluation = (time.perf_counter() - start) * len(texts) / len(sample)
    random.setstate(state)
    seconds = FOR_ALL * 60 * minutes
    evaluations = min(max(int(FOR_EVALUATIONS * seconds / evaluation), 2), EVALUATIONS)
    return Budget(max(int((seconds - evaluations * evaluation) / step), 1), evaluations)


def _time_step(nlp: Language, batches: list[list[Example]], optimizer: Optimizer) -> float:
    """Seconds of a step, without those of the first ones."""
    warm_up = min(WARM_UP, len(batches) - 1)
    start = 0.0
    for number, batch in enumerate(batches):
        if number == warm_up:
            start = time.perf_counter()
        nlp.update(batch, drop=0.1, sgd=optimizer)
    return (time.perf_counter() - start) / (len(batches) - warm_up)


def describe_budget(budget: Budget, wanted: int, minutes: float) -> str:
    """What a time limit does to a training, in one line."""
    if wanted and budget.steps >= wanted:
        return f"{wanted:,} steps fit into {minutes:g} minutes"
    of = f" of {wanted:,}" if wanted else ""
    return f"{minutes:g} minutes have room for {budget.steps:,}{of} steps (--minutes)"


def shorten(training: dict[str, Any], steps: int) -> None:
    """Shorten the section ``training`` of a config, with its warm-up, to so many steps."""
    if isinstance(training["max_steps"], int):
        training["max_steps"] = steps
    rates = training["optimizer"]["learn_rate"]
    if isinstance(rates, dict) and "total_steps" in rates:
        rates["total_steps"] = steps
        rates["warmup_steps"] = max(min(rates["warmup_steps"], steps // 10), 1)
