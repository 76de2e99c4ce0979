"""``train``: what ``spacy train`` does; it survives being killed and looks at its last step.

The loop is spaCy's own. A resumed run walks through it once more without learning, so
that schedules, shuffling and early stopping stand where they stood, and then puts
weights, optimizer and random states back.
"""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy import util
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training import loop
from spacy.training.initialize import init_nlp
from thinc.api import Config, fix_random_seed, set_gpu_allocator
from wasabi import msg

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import check_record, make_line
from spacy_bert_zh.loading import pipeline as loading
from spacy_bert_zh.ranks import Group, joined, local_rank
from spacy_bert_zh.train.budget import (
    EVALUATIONS,
    Budget,
    describe_budget,
    measure_budget,
    shorten,
)
from spacy_bert_zh.train.config import (
    checked,
    choose_frequency,
    load_training_config,
    readable_errors,
)
from spacy_bert_zh.train.corpus import SHUFFLED
from spacy_bert_zh.train.output import CHECKPOINT, Output, hold
from spacy_bert_zh.train.recipe import fit_recipe
from spacy_bert_zh.train.resume import TrainingState, read_config
from spacy_bert_zh.train.standins import Dev, Replay

if TYPE_CHECKING:
    from spacy_bert_zh.train.together import Together


def train(
    config_path: Path,
    output: Path,
    *,
    use_gpu: int = -1,
    overrides: dict[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    minutes: float = 0.0,
    prepare: Callable[[Language], None] | None = None,
) -> Path:
    """Train a pipeline as ``spacy train`` would, and evaluate after the last step, too.

    Besides model-best and model-last, `output` gets the history of the training, metrics.jsonl
    and history.svg, and holds a checkpoint of the last evaluation while the training runs. Under
    torchrun each process learns from its share of every batch, and the first one writes.

    Args:
        config_path: A spaCy config. Without ``training.eval_frequency`` (or with 0) it is chosen
            by the length of the training.
        output: Folder for the pipelines.
        use_gpu: GPU id; -1 is the CPU. Further processes on this machine take the next ones.
        overrides: Config values by dotted name, e.g. ``{"training.max_steps": 100}``.
        resume: Go on from the checkpoint in `output`, if there is one.
        force: Be content with a pipeline that learnt nothing.
        minutes: About how long it may take at most, on this machine; 0 doesn't limit.
        prepare: Is given the initialised pipeline before it learns. What it puts into the config
            counts for whether a checkpoint is of the same run.

    Returns:
        The folder of the best pipeline.

    Raises:
        BertZhError: The config, a path in it, the GPU or the checkpoint is not usable, or something
            else is where the output belongs; or the best pipeline is no better than the best answer
            that never changes. All has been written in this last case.
    """
    config = load_training_config(config_path, overrides or {})
    with joined(gpu=use_gpu >= 0) as group:
        with readable_errors(config_path):
            config, recipe = fit_recipe(config, overrides or {})
        if recipe:
            msg.info(str(recipe))
        held = hold(output, _inputs(config.interpolate())) if group.is_first else nullcontext()
        with held:
            best = _train(config_path, config, output, use_gpu, group, resume, minutes, prepare)
    if not group.is_first:
        return output / loop.DIR_MODEL_BEST
    if best["step"] == 0:
        msg.warn(
            "The best pipeline is that of step 0, whose head alone has learnt: fine-tuning made "
            "it no better on the dev corpus"
        )
    if not force:
        check_record(str(output / loop.DIR_MODEL_BEST), best)
    return output / loop.DIR_MODEL_BEST


def _train(
    path: Path,
    config: Config,
    output: Path,
    use_gpu: int,
    group: Group,
    resume: bool,
    minutes: float,
    prepare: Callable[[Language], None] | None,
) -> dict[str, Any]:
    """Train, and return the history's line of the best pipeline."""
    if use_gpu >= 0 and not group.alone:
        use_gpu += local_rank()
    loading.use_gpu(use_gpu)
    msg.info(f"Using GPU: {use_gpu}" if use_gpu >= 0 else "Using CPU")
    with readable_errors(path):
        msg.divider("Initializing pipeline")
        nlp = _initialise(config, use_gpu)
        if prepare:
            prepare(nlp)
        begun = read_config(output / CHECKPOINT) if resume else None
        group.check_same(
            str(begun),
            f"another checkpoint in {output} than the first: --resume needs a disk that all share",
        )
        evaluations = EVALUATIONS
        if minutes and begun:
            _keep_on(nlp, begun)
        elif minutes:
            evaluations = _keep_to(nlp, output, group, minutes)
        run = _Run(nlp, output, use_gpu, group)
        if not config["training"].get("eval_frequency") and not (minutes and begun):
            run.choose_frequency(evaluations)
    msg.divider("Training pipeline")
    run.train(resume)
    return run.best


def _initialise(config: Config, use_gpu: int) -> Language:
    """As spaCy, but with all texts of a stream that has an end.

    Of any stream spaCy shows the first 100 (`training.max_epochs = -1`): too few to solve n-grams.
    """
    training = config["training"]
    reader = config["corpora"].get(training["train_corpus"].partition(".")[2], {})
    if training["max_epochs"] != -1 or reader.get("@readers") != SHUFFLED:
        return init_nlp(config, use_gpu=use_gpu)
    whole = config.copy()
    whole["training"]["max_epochs"] = 0
    nlp = init_nlp(whole, use_gpu=use_gpu)
    nlp.config["training"]["max_epochs"] = -1
    return nlp


def _keep_on(nlp: Language, begun: Config) -> None:
    """Let a training that was cut off keep to the length that it began with."""
    shorten(nlp.config["training"], begun["training"]["max_steps"])
    nlp.config["training"]["eval_frequency"] = begun["training"]["eval_frequency"]


def _keep_to(nlp: Language, output: Path, group: Group, minutes: float) -> int:
    """Shorten a training to a time.

    Returns:
        How often there is time to evaluate.
    """
    run = _Run(nlp, output, -1, group)
    wanted = run.settings["max_steps"]
    budget = run.measure_budget(minutes)
    msg.info(describe_budget(budget, wanted, minutes))
    if budget.steps < wanted or not wanted:
        shorten(nlp.config["training"], budget.steps)
    return budget.evaluations


class _Run:
    """One training of one pipeline into one folder."""

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
        self.best: dict[str, Any] = {}  # the history's line of the best pipeline

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


def _inputs(config: Config) -> list[str]:
    """The folders and files that a training reads, as far as the config tells."""
    corpora = [corpus.get("path") for corpus in config.get("corpora", {}).values()]
    return [path for path in corpora if isinstance(path, str)]
