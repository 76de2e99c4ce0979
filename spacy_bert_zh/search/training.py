"""Trainings of a search: processes of `train`, looked at while they run, here or on a cluster."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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

Settings = dict[str, Any]


class Train(Protocol):
    """Trainings side by side: `run_trials`, or the same on a cluster."""

    def __call__(
        self,
        config: Path,
        folders: Sequence[Path],
        settings: Sequence[Settings],
        done: Sequence[Trial],
        minutes: float = 0.0,
    ) -> list[Trial]:
        """See `run_trials`."""


@contextmanager
def trainer(options: Options) -> Iterator[Train]:
    """Have what trains for a block: processes here, or Ray.

    Raises:
        BertZhError: There is no such GPU, or no Ray.
    """
    if not options.ray:
        use_gpu(options.gpu_id)  # to predict as well, and to fail at once
        yield partial(run_trials, gpu_id=options.gpu_id)
        return
    try:
        from spacy_bert_zh.search.on_ray import on_ray
    except ImportError as error:
        raise missing_extra(error.name or "ray", "ray", "search --ray") from None
    with on_ray(options) as train:
        yield train


def run_trials(
    config: Path,
    folders: Sequence[Path],
    settings: Sequence[Settings],
    done: Sequence[Trial],
    minutes: float = 0.0,
    gpu_id: int = -1,
) -> list[Trial]:
    """Train at once, and stop what isn't worth its end.

    Args:
        config: What is trained.
        folders: One for each training.
        settings: What each tries, by dotted name.
        done: The trials before them.
        minutes: How long each may take; 0 doesn't limit.
        gpu_id: GPU id, or -1 for the CPU.

    Returns:
        What came out, in the order of `settings`: the same whichever is faster.
    """
    begin = time.monotonic()
    ended: dict[int, Trial] = {}
    with ExitStack() as stack:
        running = {}
        for number, (folder, own) in enumerate(zip(folders, settings, strict=True)):
            folder.mkdir(parents=True, exist_ok=True)
            command = train_command(config, folder, own, minutes, gpu_id)
            running[number] = stack.enter_context(_Training(command, folder, own))
        while running:
            time.sleep(PATIENCE)
            for number, training in list(running.items()):
                if trial := training.look(done, time.monotonic() - begin):
                    ended[number] = trial
                    running.pop(number).close()
    return [ended[number] for number in sorted(ended)]


class _Training(ExitStack):
    """One of them."""

    def __init__(self, command: list[str], folder: Path, settings: Settings) -> None:
        super().__init__()
        self.folder, self.settings = folder, settings
        log = self.enter_context((folder / LOG).open("wb"))
        self.process = self.enter_context(
            started(command, Path.cwd(), os.environ, stdout=log, stderr=log)
        )

    def look(self, done: Sequence[Trial], seconds: float) -> Trial | None:
        """The trial, if it is over, or should be."""
        code = self.process.poll()  # first: what is then in the history is all
        lines = self._history()
        scores = [line["score"] or 0.0 for line in lines]
        # Wherever it was stopped by the clock, it counts up to where it was worse.
        places = range(1, len(scores) + 1)
        worse = next((place for place in places if is_worse(scores[:place], done)), 0)
        if code is None and not worse:
            return None
        return Trial(
            self.settings,
            scores[: worse or None],
            finished=code == 0 and not worse,
            steps=lines[worse - 1]["step"] if lines else 0,
            seconds=round(seconds, 1),
            error=last_word(self.folder) if code and not worse else "",
        )

    def _history(self) -> list[dict[str, Any]]:
        try:
            text = (self.folder / METRICS).read_text("utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]
