"""What a search may change, and the next settings to try: TPE on what the others reached."""

import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.search.trial import Trial
from spacy_bert_zh.train.recipe import FACTORIES, LEARN_RATE
from spacy_bert_zh.untrusted import Closed, checked, read_json

try:
    import optuna
except ImportError:
    raise missing_extra("optuna", "search", "'search'") from None

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, "BaseDistribution"]
Settings = dict[str, Any]

STEPS = f"{LEARN_RATE}.total_steps"
FIRST = 5
"""Trials before what they reached says what comes next."""
CHANGED = 6
"""Settings that are other than the config's until then."""
LARGEST = 100_000
"""Bytes of a space's file."""


class _Between(Closed):
    low: int | float
    high: int | float
    log: bool = False


class _Choices(Closed):
    choices: list[str | int | float | bool | None] = Field(min_length=1)


def value_at(config: Config, key: str) -> Any:
    """The value of a dotted name.

    Raises:
        KeyError: There is none.
    """
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, dict):
            raise KeyError(key)
        value = value[part]
    return value


def default_space(config: Config) -> Space:
    """What is worth trying for any corpus, as far as a config has it.

    The length is worth trying where all else follows it: `training.max_steps` refers to it.

    Args:
        config: As it stands in its file.

    Raises:
        BertZhError: It has no text classifier of ours.
    """
    written, config = config, config.interpolate()
    names = [n for n, part in config["components"].items() if part.get("factory") in FACTORIES]
    if not names:
        raise BertZhError(
            f"The config has no component made by {' or '.join(FACTORIES)}, whose settings could "
            "be searched: give --space"
        )
    name = names[0]
    model = f"components.{name}.model"
    kinds = optuna.distributions
    space: Space = {
        f"{LEARN_RATE}.initial_rate": _around(config, f"{LEARN_RATE}.initial_rate", 3),
        **({STEPS: _length(config)} if _follows(written) else {}),
        "training.batcher.size": kinds.CategoricalDistribution((16, 32, 64)),
        "training.dropout": kinds.FloatDistribution(0.0, 0.3),
        f"components.{name}.class_weights": kinds.CategoricalDistribution((None, "balanced")),
        f"components.{name}.label_smoothing": kinds.FloatDistribution(0.0, 0.1),
        f"components.{name}.r_drop": kinds.CategoricalDistribution((0.0, 1.0, 4.0)),
        f"components.{name}.adversarial": kinds.CategoricalDistribution((None, "fgm")),
        f"{model}.head_rate": _around(config, f"{model}.head_rate", 5),
        f"{model}.linear_rate": _around(config, f"{model}.linear_rate", 5),
        f"{model}.network_share": kinds.FloatDistribution(0.2, 0.8),
        f"{model}.linear_model.ngram_size": kinds.IntDistribution(2, 4),
        f"{model}.backbone.pooling": kinds.CategoricalDistribution(("mean", "cls")),
        f"{model}.backbone.layer_decay": kinds.FloatDistribution(0.6, 1.0),
    }
    return {key: values for key, values in space.items() if _has(config, key)}


def _follows(config: Config) -> bool:
    return _has(config, STEPS) and isinstance(value_at(config, "training.max_steps"), str)


def _around(config: Config, key: str, factor: float) -> "BaseDistribution":
    value = float(value_at(config, key)) if _has(config, key) else 1.0
    return optuna.distributions.FloatDistribution(value / factor, value * factor, log=True)


def _length(config: Config) -> "BaseDistribution":
    steps = int(value_at(config, STEPS))
    return optuna.distributions.IntDistribution(max(steps // 2, 1), 2 * steps, log=True)


def _has(config: Config, key: str) -> bool:
    try:
        value_at(config, key)
    except KeyError:
        return False
    return True


def read_space(path: Path, config: Config) -> Space:
    """Read a space from a JSON file.

    Args:
        path: An object: a dotted name of the config → ``{"low": …, "high": …, "log": true}``
            or ``{"choices": […]}``; whole bounds mean whole numbers.
        config: Interpolated; it must have all of the names.

    Raises:
        BertZhError: It isn't that.
    """
    data = read_json(path, LARGEST)
    if not data:
        raise BertZhError(f"{path}: expected an object with a setting or more")
    for key in data:
        if not _has(config, key):
            raise BertZhError(f"{path}: the config has no {key}")
    return {key: _distribution(f"{path}: {key}", bounds) for key, bounds in data.items()}


def _distribution(where: str, bounds: Any) -> "BaseDistribution":
    kinds = optuna.distributions
    if isinstance(bounds, dict) and "choices" in bounds:
        return kinds.CategoricalDistribution(checked(_Choices, bounds, where).choices)
    between = checked(_Between, bounds, where)
    low, high, log = between.low, between.high, between.log
    if low > high or (log and low <= 0):
        raise BertZhError(f"{where}: nothing lies between {low} and {high}{' (log)' * log}")
    if isinstance(low, int) and isinstance(high, int):
        return kinds.IntDistribution(low, high, log=log)
    return kinds.FloatDistribution(low, high, log=log)


def describe_space(space: Space) -> dict[str, Any]:
    """A space as JSON has it, the same for the same space."""
    return {key: optuna.distributions.distribution_to_json(one) for key, one in space.items()}


def propose(
    space: Space, done: Sequence[Trial], running: Sequence[Settings], seed: int
) -> Settings:
    """The next settings to try: the same after the same trials.

    Tree-structured Parzen estimators (Bergstra et al. 2011, section 4), as Optuna has them. The
    first ones are near the config, as settings that are all drawn are mostly worse than those that
    fit the corpus, and may take many times as long.

    Args:
        space: What may change.
        done: Trials that are over, that of the config as it is first.
        running: Settings of those that may not be.
        seed: Of what is drawn.
    """
    study = _study(space, done, seed)
    for settings in running:
        study.enqueue_trial({key: settings[key] for key in space})
        study.ask(space)
    if done and len(study.trials) < FIRST:
        study.enqueue_trial(_some(space, done[0].settings, seed))
    return dict(study.ask(space).params)


def _some(space: Space, settings: Settings, seed: int) -> Settings:
    """All settings but a few, which are drawn, and those that the space has no room for."""
    kept = random.Random(seed).sample([*space], max(0, len(space) - CHANGED))
    return {key: settings[key] for key in kept if _holds(space[key], settings[key])}


def importance(space: Space, done: Sequence[Trial]) -> dict[str, float]:
    """How much of the scores' variation each setting explains (fANOVA, Hutter et al. 2014).

    By trials that were finished; empty where they are too few, or all have the same score.
    """
    study = _study(space, done, 0)
    finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if len(finished) < FIRST or len({trial.value for trial in finished}) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _study(space: Space, done: Sequence[Trial], seed: int) -> "optuna.Study":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # The liar keeps trials from trying what others try that still run.
        sampler = optuna.samplers.TPESampler(n_startup_trials=FIRST, constant_liar=True, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in done:
        if trial.scores and all(_holds(space[key], trial.settings[key]) for key in space):
            study.add_trial(_told(space, trial))
    return study


def _holds(values: "BaseDistribution", value: Any) -> bool:
    """Whether a space has room for the config's own value."""
    if isinstance(values, optuna.distributions.CategoricalDistribution):
        return value in values.choices
    return isinstance(value, int | float) and values.low <= value <= values.high  # type: ignore[attr-defined]


def _told(space: Space, trial: Trial) -> "optuna.trial.FrozenTrial":
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=states.COMPLETE if trial.finished else states.PRUNED,
        value=trial.score,
        params={key: trial.settings[key] for key in space},
        distributions=space,
        intermediate_values=dict(enumerate(trial.scores)),
    )
