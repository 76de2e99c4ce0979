"""``train``: what ``spacy train`` does, fitted to the corpus and to a time."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import loop
from spacy.training.initialize import init_nlp
from thinc.api import Config
from wasabi import msg

from spacy_bert_zh.evaluate import check_record
from spacy_bert_zh.loading import pipeline as loading
from spacy_bert_zh.ranks import Group, joined, local_rank
from spacy_bert_zh.train.budget import EVALUATIONS, describe_budget, shorten
from spacy_bert_zh.train.config import load_training_config, readable_errors
from spacy_bert_zh.train.corpus import SHUFFLED
from spacy_bert_zh.train.output import CHECKPOINT, hold
from spacy_bert_zh.train.recipe import fit_recipe
from spacy_bert_zh.train.resume import read_config
from spacy_bert_zh.train.run import Run


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
        run = Run(nlp, output, use_gpu, group)
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
    run = Run(nlp, output, -1, group)
    wanted = run.settings["max_steps"]
    budget = run.measure_budget(minutes)
    msg.info(describe_budget(budget, wanted, minutes))
    if budget.steps < wanted or not wanted:
        shorten(nlp.config["training"], budget.steps)
    return budget.evaluations


def _inputs(config: Config) -> list[str]:
    """The folders and files that a training reads, as far as the config tells."""
    corpora = [corpus.get("path") for corpus in config.get("corpora", {}).values()]
    return [path for path in corpora if isinstance(path, str)]
