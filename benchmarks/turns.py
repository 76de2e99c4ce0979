"""Pipelines that take turns on the same texts: what slows the machine slows all of them."""

import time
from collections.abc import Sequence

from spacy.language import Language

from spacy_bert_zh.loading import warm_up

ROUNDS = 5


def take_turns(pipelines: dict[str, Language], texts: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of the processor that each took for the texts, in each round after a first one."""
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for nlp in pipelines.values():
        warm_up(nlp)
    for _ in range(ROUNDS + 1):
        for name, nlp in pipelines.items():
            start = time.process_time()
            for _ in nlp.pipe(texts):
                pass
            seconds[name].append(time.process_time() - start)
    return {name: taken[1:] for name, taken in seconds.items()}
