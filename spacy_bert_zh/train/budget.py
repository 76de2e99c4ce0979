"""A training that keeps to a time: as many steps as fit into it on this machine."""

import random
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from spacy.language import Language
from spacy.training import Example
from thinc.api import Optimizer

from spacy_bert_zh.train.resume import models

WARM_UP, MEASURED = 2, 8
"""Steps before the clock runs, and while it does."""
SHARE = 0.9
"""Of the time, for steps and evaluations; the rest goes to loading and saving."""

Batches = Callable[[Iterable[Example]], Iterable[list[Example]]]


def affordable_steps(
    nlp: Language,
    train: Iterable[Example],
    dev: Iterable[Example],
    batcher: Batches,
    optimizer: Optimizer,
    *,
    minutes: float,
    evaluations: int,
) -> int:
    """How many steps a time has room for, at the speed of the first ones.

    The pipeline learns some steps and is put back to where it stood.

    Args:
        nlp: Initialised.
        train: What it will learn from.
        dev: What it will be evaluated on.
        batcher: Makes the batches.
        optimizer: One of its own, whose state is of no use afterwards.
        minutes: For the whole training.
        evaluations: How often `dev` is gone through.

    Returns:
        At least 1.
    """
    before, state = [(model, model.to_bytes()) for _, model in models(nlp)], random.getstate()
    batches = list(islice(batcher(train), WARM_UP + MEASURED))
    start = time.perf_counter()
    for number, batch in enumerate(batches):
        if number == min(WARM_UP, len(batches) - 1):
            start = time.perf_counter()
        nlp.update(batch, drop=0.1, sgd=optimizer)
    steps = max(len(batches) - WARM_UP, 1)
    step = (time.perf_counter() - start) / steps
    some = list(dev)
    sample = some[:: max(len(some) // 256, 1)]
    start = time.perf_counter()
    nlp.evaluate(sample)
    evaluation = (time.perf_counter() - start) / len(sample) * len(some)
    for model, weights in before:
        model.from_bytes(weights)
    random.setstate(state)
    left = SHARE * 60 * minutes - evaluations * evaluation
    return max(int(left / step), 1)


def describe_budget(steps: int, wanted: int, minutes: float) -> str:
    """What a time limit does to a training, in one line."""
    if wanted and steps >= wanted:
        return f"{wanted:,} steps fit into {minutes:g} minutes"
    of = f" of {wanted:,}" if wanted else ""
    return f"{minutes:g} minutes have room for {steps:,}{of} steps (--minutes)"


def shorten(training: dict[str, Any], steps: int) -> None:
    """Shorten the section ``training`` of a config, with its warm-up, to so many steps."""
    if isinstance(training["max_steps"], int):
        training["max_steps"] = steps
    rates = training["optimizer"]["learn_rate"]
    if isinstance(rates, dict) and "total_steps" in rates:
        rates["total_steps"] = steps
        rates["warmup_steps"] = max(min(rates["warmup_steps"], steps // 10), 1)
