"""``train``: what ``spacy train`` does, and it survives being killed.

The loop is spaCy's own. A resumed run walks through it once more without learning, so
that schedules, shuffling and early stopping stand where they stood, and then puts
weights, optimizer and random states back.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spacy import util
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training import loop
from spacy.training.initialize import init_nlp
from thinc.api import Config, ConfigValidationError, fix_random_seed, set_gpu_allocator
from wasabi import msg

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import check_apart, claim, discard, made
from spacy_bert_zh.resume import TrainingState

CHECKPOINT = "checkpoint"
OUTPUTS = (loop.DIR_MODEL_BEST, loop.DIR_MODEL_LAST, CHECKPOINT)


def train(
    config_path: Path,
    output: Path,
    *,
    use_gpu: int = -1,
    overrides: dict[str, Any] | None = None,
    resume: bool = False,
) -> Path:
    """Train a pipeline as ``spacy train`` would, with the same result.

    Besides model-best and model-last, `output` holds a checkpoint of the last evaluation
    while the training runs.

    Args:
        config_path: A spaCy config.
        output: Folder for the pipelines.
        use_gpu: GPU id; -1 is the CPU.
        overrides: Config values by dotted name, e.g. ``{"training.max_steps": 100}``.
        resume: Go on from the checkpoint in `output`, if there is one.

    Returns:
        The folder of the best pipeline.

    Raises:
        BertZhError: The config, a path in it, or the checkpoint is not usable, or something
            else is where the output belongs.
    """
    config = _load_config(config_path, overrides or {})
    _check_paths(config.interpolate())
    _check_extras(config)
    outputs = [output / name for name in OUTPUTS]
    for path in outputs:
        check_apart(path, _inputs(config.interpolate()))
    with claim("train", *outputs, folder=True), _readable_errors(config_path):
        msg.divider("Initializing pipeline")
        nlp = init_nlp(config, use_gpu=use_gpu)
        msg.divider("Training pipeline")
        _Run(nlp, output, use_gpu).train(resume)
    return output / loop.DIR_MODEL_BEST


class _Run:
    """One training of one pipeline into one folder."""

    def __init__(self, nlp: Language, output: Path, use_gpu: int) -> None:
        self.nlp = nlp
        self.output = output
        self.use_gpu = use_gpu
        config = nlp.config.interpolate()
        self.settings = util.registry.resolve(config["training"], schema=ConfigSchemaTraining)
        self.config_text = config.to_str()
        corpora = [self.settings["train_corpus"], self.settings["dev_corpus"]]
        self.train_corpus, self.dev_corpus = util.resolve_dot_names(config, corpora)
        self.optimizer = self.settings["optimizer"]
        self.before_to_disk = loop.create_before_to_disk_callback(self.settings["before_to_disk"])

    def train(self, resume: bool) -> None:
        if (seed := self.settings["seed"]) is not None:
            fix_random_seed(seed)
        if self.use_gpu >= 0 and self.settings["gpu_allocator"]:
            set_gpu_allocator(self.settings["gpu_allocator"])
        checkpoint = self.output / CHECKPOINT
        state = TrainingState.load(checkpoint, self.config_text) if resume else None
        if state is None:
            # The pipelines of an earlier run stay until the first evaluation of this one.
            discard(checkpoint)
            state = TrainingState(-1, [], self.config_text)
        else:
            msg.info(f"Resuming after step {state.step}")
        evaluate = loop.create_evaluation_callback(
            self.nlp, self.dev_corpus, self.settings["score_weights"]
        )
        replay = _Replay(self.nlp, state, evaluate)
        log_step, finalize = self._logger()
        try:
            for _, info, is_best in self._steps(replay):
                if replay.active:
                    if info["step"] == state.step:
                        state.restore(checkpoint, self.nlp, self.optimizer)
                        replay.active = False
                    continue
                if is_best is not None:
                    self._save(info, is_best)
                    state.step = info["step"]
                    state.save(checkpoint, self.nlp, self.optimizer)
                log_step(info if is_best is not None else None)
        finally:
            finalize()
        self._save_last()
        discard(checkpoint)

    def _steps(self, replay: "_Replay") -> Iterator[Any]:
        settings = self.settings
        return loop.train_while_improving(
            replay,  # type: ignore[arg-type]
            self.optimizer,
            loop.create_train_batches(
                self.nlp, self.train_corpus, settings["batcher"], settings["max_epochs"]
            ),
            replay.evaluate,
            dropout=settings["dropout"],
            accumulate_gradient=settings["accumulate_gradient"],
            patience=settings["patience"],
            max_steps=settings["max_steps"],
            eval_frequency=settings["eval_frequency"],
            exclude=settings["frozen_components"],
            annotating_components=settings["annotating_components"],
            before_update=settings["before_update"],
        )

    def _logger(self) -> tuple[Callable[[Any], None], Callable[[], None]]:
        with self.nlp.select_pipes(disable=self.settings["frozen_components"]):
            return self.settings["logger"](self.nlp, sys.stdout, sys.stderr)

    def _save(self, info: dict[str, Any], is_best: bool) -> None:
        with self.nlp.select_pipes(disable=self.settings["frozen_components"]):
            loop.update_meta(self.settings, self.nlp, info)
        self._save_last()
        if is_best:
            with made(self.output / loop.DIR_MODEL_BEST, "train") as part:
                shutil.copytree(self.output / loop.DIR_MODEL_LAST, part)

    def _save_last(self) -> None:
        last = self.output / loop.DIR_MODEL_LAST
        with made(last, "train") as part, self.nlp.use_params(self.optimizer.averages):
            self.before_to_disk(self.nlp).to_disk(part)


class _Replay:
    """Stands for the pipeline in spaCy's loop: learns nothing while a run is replayed."""

    def __init__(
        self, nlp: Language, state: TrainingState, evaluate: Callable[[], tuple[float, Any]]
    ) -> None:
        self.nlp = nlp
        self.active = state.step >= 0
        self._state = state
        self._past = list(state.results)
        self._evaluate = evaluate

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nlp, name)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        return None if self.active else self.nlp.update(*args, **kwargs)

    @property
    def pipeline(self) -> list[Any]:
        return [] if self.active else self.nlp.pipeline

    def evaluate(self) -> tuple[float, Any]:
        if self.active:
            return self._past.pop(0)
        result = self._evaluate()
        self._state.results.append(result)
        return result


def _load_config(path: Path, overrides: dict[str, Any]) -> Config:
    if not path.is_file():
        raise BertZhError(f"No config file at {path}")
    with _readable_errors(path):
        return util.load_config(path, overrides=overrides, interpolate=False)


def _check_paths(config: Config) -> None:
    """Name a corpus that isn't there by its config key, before anything is loaded."""
    for name, corpus in config.get("corpora", {}).items():
        if "path" not in corpus:
            continue
        if not corpus["path"]:
            raise BertZhError(f"corpora.{name}.path is not set: give it with --paths.{name} FOLDER")
        if not Path(corpus["path"]).exists():
            raise BertZhError(f"corpora.{name}.path: no such file or folder: {corpus['path']}")


def _inputs(config: Config) -> list[str]:
    """The folders and files that a training reads, as far as the config tells."""
    corpora = [corpus.get("path") for corpus in config.get("corpora", {}).values()]
    return [path for path in corpora if isinstance(path, str)]


def _check_extras(config: Config) -> None:
    """Name the extra of a component that spaCy can only call an unknown factory."""
    factories = {part.get("factory") for part in config.get("components", {}).values()}
    if "transformer" in factories and find_spec("spacy_transformers") is None:
        raise missing_extra("spacy_transformers", "shared", "the component 'transformer'")


@contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except ConfigValidationError as error:
        raise BertZhError(f"{path}: {error.text.strip()}") from error
