"""One training: spaCy's loop, which survives being killed and looks at its last step.

A resumed run walks through the loop once more without learning, so that schedules, shuffling and
early stopping stand where they stood, and then puts weights, optimizer and random states back.
"""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy import util
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training import loop
from thinc.api import fix_random_seed, set_gpu_allocator
from wasabi import msg

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import make_line
from spacy_bert_zh.ranks import Group
from spacy_bert_zh.train.budget import Budget, measure_budget
from spacy_bert_zh.train.config import checked, choose_frequency
from spacy_bert_zh.train.output import CHECKPOINT, Output
from spacy_bert_zh.train.resume import TrainingState
from spacy_bert_zh.train.standins import Dev, Replay

if TYPE_CHECKING:
    from spacy_bert_zh.train.together import Together


class Run:
    """One training of one pipeline into one folder.

    Args:
        nlp: The pipeline, initialised.
        output: The folder.
        use_gpu: GPU id; -1 is the CPU.
        group: The processes that train.

    Attributes:
        settings: The config's section of training, resolved.
        best: The history's line of the best pipeline, after `train`.
    """

    def __init__(self, nlp: Language, output: Path, use_gpu: int, group: Group) -> None:
        self.nlp = nlp
        self.use_gpu = use_gpu
        self.group = group
        config = nlp.config.interpolate()
        self.settings = util.registry.resolve(config["training"], schema=ConfigSchemaTraining)
        names = [self.settings["train_corpus"], self.settings["dev_corpus"]]
        readers = util.resolve_dot_names(config, names)
        self.train_corpus, self.dev_corpus = map(checked, readers, names)
        self.optimizer = self.settings["optimizer"]
        self.together = None if group.alone else self._share()
        self.output = Output(output, nlp, self.optimizer, self.settings)
        self.classifiers: dict[str, Any] = {}  # as the last evaluation found them
        self.best: dict[str, Any] = {}

    def _share(self) -> "Together":
        from spacy_bert_zh.train.together import Together, check_batches  # need torch

        accumulate = self.settings["accumulate_gradient"]
        check_batches(self.nlp.config["training"]["batcher"], accumulate, self.group.world)
        frozen = self.settings["frozen_components"]
        return Together(self.nlp, self.group, frozen, accumulate, self.optimizer)

    @property
    def learner(self) -> Any:
        """The pipeline, or what stands for it."""
        return self.together or self.nlp

    def measure_budget(self, minutes: float) -> Budget:
        """What there is time for."""
        corpora = self.train_corpus(self.nlp), self.dev_corpus(self.nlp)
        found = measure_budget(
            self.learner, *corpora, self.settings["batcher"], self.optimizer, minutes
        )
        return Budget(**self.group.tell(asdict(found)))

    def choose_frequency(self, evaluations: int) -> None:
        """Let the length of the training say how often to evaluate."""
        batcher = self.settings["batcher"]
        frequency = choose_frequency(
            self.settings,
            lambda: sum(1 for _ in batcher(self.train_corpus(self.nlp))),
            evaluations,
        )
        frequency = self.group.tell(frequency)
        msg.info(f"Evaluating every {frequency} steps (training.eval_frequency) and at the end")
        self.settings["eval_frequency"] = frequency
        self.nlp.config["training"]["eval_frequency"] = frequency  # for the logger

    def train(self, resume: bool) -> None:
        """Walk through spaCy's loop, and write what comes out.

        Args:
            resume: Whether to go on from a checkpoint, if there is one.

        Raises:
            BertZhError: The processes have other configs or checkpoints, or there is no batch.
        """
        self._seed()
        if self.use_gpu >= 0 and self.settings["gpu_allocator"]:
            set_gpu_allocator(self.settings["gpu_allocator"])
        checkpoint = self.output.folder / CHECKPOINT
        config_text = self.nlp.config.interpolate().to_str()
        state = TrainingState.load(checkpoint, config_text) if resume else None
        self.group.check_same(
            f"{state and state.step} {config_text}",
            "another config or checkpoint than the first: give all of them the same files",
        )
        if state is None:
            if self.group.is_first:
                self.output.begin()
            state = TrainingState(-1, [], [], config_text)
        else:
            msg.info(f"Resuming after step {state.step}")
        replay = Replay(self.learner, state, self._evaluate)
        log_step, finalize = self._logger()
        try:
            for info, is_best in self._steps(replay, state):
                if replay.active:
                    if info["step"] == state.step:
                        state.restore(checkpoint, self.nlp, self.optimizer)
                        replay.active = False
                    continue
                if is_best is not None:
                    self._record(state, info, is_best)
                    if self.group.is_first:
                        self.output.save(state, info, is_best)
                log_step(info if is_best is not None else None)
        finally:
            finalize()
        self.best = [line for line in state.history if line["best"]][-1]
        if self.group.is_first:
            self.output.end(state.history)

    def _seed(self) -> None:
        seed = self.settings["seed"]
        if seed is None and not self.group.alone:
            seed = self.group.tell(random.getrandbits(32))  # all shuffle alike
        if seed is not None:
            fix_random_seed(seed)
        self.seed = seed or 0

    def _steps(
        self, replay: Replay, state: TrainingState
    ) -> Iterator[tuple[dict[str, Any], bool | None]]:
        """spaCy's loop; where it ends between two evaluations, the last step again, evaluated."""
        settings, accumulate = self.settings, self.settings["accumulate_gradient"]
        batches = loop.create_train_batches(
            self.nlp, self.train_corpus, settings["batcher"], settings["max_epochs"]
        )
        if self.together:
            batches, accumulate = self.together.seeded(batches, self.seed), 1
        info: dict[str, Any] = {}
        for _, info, is_best in loop.train_while_improving(
            replay,  # type: ignore[arg-type]
            self.optimizer,
            batches,
            replay.evaluate,
            dropout=settings["dropout"],
            accumulate_gradient=accumulate,
            patience=settings["patience"],
            max_steps=settings["max_steps"],
            eval_frequency=settings["eval_frequency"],
            exclude=settings["frozen_components"],
            annotating_components=settings["annotating_components"],
            before_update=settings["before_update"],
        ):
            yield info, is_best
        if not info:
            raise BertZhError("training.batcher made no batch of the corpus: give it a larger size")
        if state.step < info["step"]:
            with self.nlp.use_params(self.optimizer.averages):
                score, scores = replay.evaluate()
            results = [*info["checkpoints"], (score, info["step"])]
            last = {"score": score, "other_scores": scores, "checkpoints": results}
            yield {**info, **last}, score == max(results)[0]

    def _evaluate(self) -> tuple[float, dict[str, Any]]:
        """spaCy's scores on dev, and beside them how much the trained classifiers learnt."""
        dev = Dev(self.learner, list(self.dev_corpus(self.nlp)))
        result = loop.create_evaluation_callback(
            dev,  # type: ignore[arg-type]
            lambda _: dev.examples,
            self.settings["score_weights"],
        )()
        self.classifiers = dev.classifiers(self.settings["frozen_components"])
        return result

    def _record(self, state: TrainingState, info: dict[str, Any], is_best: bool) -> None:
        """Add a line to the history, and to the pipeline's meta."""
        line = make_line(info, self.classifiers, state.step, is_best)
        state.step = info["step"]
        state.history.append(line)
        self.nlp.meta["training"] = line

    def _logger(self) -> tuple[Callable[[Any], None], Callable[[], None]]:
        if not self.group.is_first:
            return lambda info: None, lambda: None
        with self.nlp.select_pipes(disable=self.settings["frozen_components"]):
            return self.settings["logger"](self.nlp, sys.stdout, sys.stderr)
