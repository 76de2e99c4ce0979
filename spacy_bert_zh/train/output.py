"""What a training writes into its folder."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import loop
from thinc.api import Optimizer
from wasabi import msg

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import METRICS, PICTURE, draw_history, write_history
from spacy_bert_zh.files import check_apart, claim, discard, made
from spacy_bert_zh.train.resume import TrainingState

CHECKPOINT = "checkpoint"
FOLDERS = (loop.DIR_MODEL_BEST, loop.DIR_MODEL_LAST, CHECKPOINT)


@contextmanager
def hold(output: Path, inputs: Iterable[str | Path]) -> Iterator[None]:
    """Hold whatever a training writes into its folder; see `claim`.

    Raises:
        BertZhError: Something else is there, or what is written would be an input.
    """
    folders = [output / name for name in FOLDERS]
    files = [output / name for name in (METRICS, PICTURE)]
    for path in (*folders, *files):
        check_apart(path, inputs)
    with claim("train", *folders, folder=True), claim("train", *files, folder=False):
        yield


class Output:
    """The folder of one training.

    Args:
        folder: Where.
        nlp: The pipeline.
        optimizer: Has the averages of its weights, which are saved.
        settings: The section `training`, resolved.
    """

    def __init__(
        self, folder: Path, nlp: Language, optimizer: Optimizer, settings: dict[str, Any]
    ) -> None:
        self.folder = folder
        self._nlp, self._optimizer, self._settings = nlp, optimizer, settings
        callback = settings["before_to_disk"]
        self._before: Callable[[Language], Language] = loop.create_before_to_disk_callback(callback)

    def begin(self) -> None:
        """Remove an earlier run's, but for its pipelines: they stay until the first evaluation."""
        for name in (CHECKPOINT, METRICS, PICTURE):
            discard(self.folder / name)

    def save(self, state: TrainingState, info: dict[str, Any], is_best: bool) -> None:
        """Write pipelines, checkpoint and history after an evaluation."""
        with self._nlp.select_pipes(disable=self._settings["frozen_components"]):
            loop.update_meta(self._settings, self._nlp, info)
        last = self.folder / loop.DIR_MODEL_LAST
        with made(last, "train") as part, self._nlp.use_params(self._optimizer.averages):
            self._before(self._nlp).to_disk(part)
        if is_best:
            with made(self.folder / loop.DIR_MODEL_BEST, "train") as part:
                shutil.copytree(last, part)
        state.save(self.folder / CHECKPOINT, self._nlp, self._optimizer)
        write_history(state.history, self.folder)

    def end(self, history: list[dict[str, Any]]) -> None:
        """Write what a finished training has, and remove the checkpoint."""
        write_history(history, self.folder)  # had it been killed just before
        self._draw(history)
        discard(self.folder / CHECKPOINT)

    def _draw(self, history: list[dict[str, Any]]) -> None:
        try:
            picture = draw_history(history)
        except BertZhError as error:  # no matplotlib, which training doesn't need
            msg.info(f"No {PICTURE}: {error}")
            return
        with made(self.folder / PICTURE, "train") as path:
            path.write_text(picture, "utf-8")
