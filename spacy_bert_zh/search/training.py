"""Trainings of a search: processes of `train`, looked at while they run, here or on a cluster."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.evaluate import METRICS
from spacy_bert_zh.files import started
from spacy_bert_zh.loading import use_gpu
from spacy_bert_zh.search.options import Options
from spacy_bert_zh.search.trial import Trial, is_worse
from spacy_bert_zh.train.child import LOG, last_word, train_command

PATIENCE = 0.5
"""Seconds between two looks."""


class Running(AbstractContextManager["Running"], Protocol):
    """A training, which ends with its block at the latest."""

    def poll(self) -> Trial | None:
        """What came out, if it is over, or should be.

        Raises:
            BertZhError: It can't be done at all.
        """


@dataclass(frozen=True)
class Job:
    """What a training is to do.

    Attributes:
        config: What is trained.
        folder: Of the training, which goes on if it was cut off.
        settings: What it tries, by dotted name.
        done: The trials that it is compared with.
        minutes: How long it may take; 0 doesn't limit.
        fixed: What else it has of its own, by dotted name.
    """

    config: Path
    folder: Path
    settings: dict[str, Any]
    done: Sequence[Trial] = ()
    minutes: float = 0.0
    fixed: dict[str, Any] = field(default_factory=dict)


Begin = Callable[[Job], Running]
"""Begins a training here, as `Training`, or on a cluster."""


@contextmanager
def beginner(options: Options) -> Iterator[Begin]:
    """Have what begins trainings for a block: processes here, or Ray.

    Raises:
        BertZhError: There is no such GPU, or no Ray.
    """
    if not options.ray:
        use_gpu(options.gpu_id)  # to predict as well, and to fail at once
        yield partial(Training, gpu_id=options.gpu_id, code=options.code)
        return
    try:
        from spacy_bert_zh.search.on_ray import on_ray
    except ImportError as error:
        raise missing_extra(error.name or "ray", "ray", "search --ray") from None
    with on_ray(options) as begin:
        yield begin


def side_by_side(
    begin: Callable[[int], Running | None], processes: int, first: int = 0
) -> Iterator[tuple[int, Trial]]:
    """Run trainings at once, and give out what came out of them in their order.

    Args:
        begin: Begins the training of a number; None says not yet, or never if none runs.
        processes: How many at once.
        first: The first number.
    """
    running: dict[int, tuple[Running, ExitStack]] = {}
    ended: dict[int, Trial] = {}
    following = given = first
    with ExitStack() as stack:
        while True:
            while len(running) < processes and (training := begin(following)):
                own = stack.enter_context(ExitStack())
                running[following] = own.enter_context(training), own
                following += 1
            if not running:
                return
            time.sleep(PATIENCE)
            for number, (training, own) in list(running.items()):
                if trial := training.poll():
                    ended[number] = trial
                    own.close()
                    del running[number]
            while given in ended:
                yield given, ended.pop(given)
                given += 1


class Training(ExitStack):
    """A process that trains, stopped when it isn't worth its end.

    Args:
        job: What it is to do.
        gpu_id: GPU id, or -1 for the CPU.
        code: Python file that registers functions which the config names.
    """

    def __init__(self, job: Job, gpu_id: int = -1, code: Path | None = None) -> None:
        super().__init__()
        self.job = job
        job.folder.mkdir(parents=True, exist_ok=True)
        given = job.settings | job.fixed
        command = train_command(job.config, job.folder, given, job.minutes, gpu_id, code)
        log = self.enter_context((job.folder / LOG).open("wb"))
        self.process = self.enter_context(
            started(command, Path.cwd(), os.environ, stdout=log, stderr=log)
        )
        self.begin = time.monotonic()

    def poll(self) -> Trial | None:
        """The trial, if it is over, or should be."""
        code = self.process.poll()  # first: what is then in the history is all
        lines = self._history()
        scores = [line["score"] or 0.0 for line in lines]
        # Wherever it was stopped by the clock, it counts up to where it was worse.
        places = range(1, len(scores) + 1)
        worse = next((place for place in places if is_worse(scores[:place], self.job.done)), 0)
        if code is None and not worse:
            return None
        return Trial(
            self.job.settings,
            scores[: worse or None],
            finished=code == 0 and not worse,
            steps=lines[worse - 1]["step"] if lines else 0,
            seconds=round(time.monotonic() - self.begin, 1),
            error=last_word(self.job.folder) if code and not worse else "",
        )

    def _history(self) -> list[dict[str, Any]]:
        try:
            text = (self.job.folder / METRICS).read_text("utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]
