"""The trials of a search, one after another and side by side, always the same ones."""

from collections.abc import Sequence
from pathlib import Path

from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import remove, whole
from spacy_bert_zh.search.options import Options, Say
from spacy_bert_zh.search.space import STEPS, Settings, Space, propose, value_at
from spacy_bert_zh.search.training import Begin, Job, Running, side_by_side
from spacy_bert_zh.search.trial import CONFIG, SHORT, TRIALS, Trial, read_table, write_table

FREQUENCY = "training.eval_frequency"
ENOUGH = 12
"""Trials that the time is shared out to, if no number is given."""


def run_trials(folder: Path, space: Space, options: Options, begin: Begin, say: Say) -> list[Trial]:
    """Trial after trial, until the number or the time is reached.

    What a trial is follows from those that are so many numbers before it, whether or not others
    are over by then: so it is the same each time, and a process hardly ever waits for another.

    Args:
        folder: The search's.
        space: What may change.
        options: How to search.
        begin: Begins a training.
        say: Is told of each trial.

    Raises:
        BertZhError: The config itself can't be trained.
    """
    trials = read_table(folder)
    settings = [trial.settings for trial in trials]
    lead = 2 * options.processes - 1

    def begin_one(number: int) -> Running | None:
        place, known = folder / TRIALS / str(number), max(number - lead, 0) + 1
        if not number:
            settings.append(_own(folder, space))
            minutes = options.minutes / (options.trials or ENOUGH)
            return begin(Job(folder / CONFIG, place, settings[0], minutes=minutes))
        if len(trials) < known or _over(number, trials, options):
            return None
        fitting = fitting_space(folder, space)
        settings.append(
            propose(fitting, trials[:known], settings[known:number], options.seed + number)
        )
        fixed = _evaluating(folder, fitting, settings[number])
        return begin(Job(folder / SHORT, place, settings[number], trials[:known], fixed=fixed))

    for number, trial in side_by_side(begin_one, options.processes, len(trials)):
        say(f"trial {number}: {_tell(trial)}")
        if not number:
            _measure(folder, space, trial, say)
        trials.append(trial)
        write_table(folder, trials)
        remove(folder / TRIALS / str(number))
    remove(folder / TRIALS)
    return trials


def _own(folder: Path, space: Space) -> Settings:
    """The first trial's: the config as it is."""
    plain = Config().from_disk(folder / CONFIG).interpolate()
    return {key: value_at(plain, key) for key in space}


def _measure(folder: Path, space: Space, trial: Trial, say: Say) -> None:
    """Let the first trial say how long the others are."""
    if trial.error:
        raise BertZhError(f"The config itself can't be trained: {trial.error}")
    _shorten(folder, "max_steps", "eval_frequency")
    if (fitting := fitting_space(folder, space)) != space:
        short = "Trials are shorter than a training, so its length isn't tried"
        if not fitting:
            raise BertZhError(f"{short}, and nothing else may change: give more --minutes")
        say(f"{short}: see --minutes")


def fitting_space(folder: Path, space: Space) -> Space:
    """What trials may change: the length isn't what it is called where all of them are cut."""
    if STEPS not in space:
        return space
    configs = (Config().from_disk(folder / name).interpolate() for name in (CONFIG, SHORT))
    cut = len({value_at(config, STEPS) for config in configs}) > 1
    return {key: values for key, values in space.items() if key != STEPS or not cut}


def _evaluating(folder: Path, fitting: Space, settings: Settings) -> dict[str, int]:
    """How often a trial is evaluated: as often as the first, at the same parts of its length."""
    if STEPS not in fitting:
        return {}
    plain = Config().from_disk(folder / SHORT).interpolate()
    evaluations = -(-value_at(plain, STEPS) // value_at(plain, FREQUENCY))
    return {FREQUENCY: -(-settings[STEPS] // evaluations)}


def _over(number: int, trials: Sequence[Trial], options: Options) -> bool:
    spent = sum(trial.seconds for trial in trials) / options.processes
    return 0 < options.trials <= number or 0 < 60 * options.minutes <= spent


def _tell(trial: Trial) -> str:
    if trial.error:
        return f"failed: {trial.error}"
    stopped = "" if trial.finished else f", stopped at step {trial.steps:,}"
    return f"{trial.score:.4f} on dev{stopped}"


def _shorten(folder: Path, *keys: str) -> None:
    """Let all trials be as long as the first one, and have these settings of its training."""
    first = folder / TRIALS / "0" / "model-last" / "config.cfg"
    trained = Config().from_disk(first, interpolate=False)
    config = Config().from_disk(folder / CONFIG, interpolate=False)
    for key in keys:
        config["training"][key] = trained["training"][key]
    rates = trained["training"]["optimizer"]["learn_rate"]
    if isinstance(rates, dict):
        config["training"]["optimizer"]["learn_rate"] = rates
    with whole(folder / SHORT) as part:
        config.to_disk(part)
