"""``search``: trials on the dev texts, the best settings, and what these are worth on others."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import check_apart, remove, whole, workshop
from spacy_bert_zh.search.options import Options

if TYPE_CHECKING:
    from thinc.api import Config

    from spacy_bert_zh.search.space import Settings, Space
    from spacy_bert_zh.search.training import Train
    from spacy_bert_zh.search.trial import Trial

CONFIG, SHORT, BEST, SEARCH = "config.cfg", "trials.cfg", "best.cfg", "search.json"
OUTPUTS = ("report.json", "report.html")
TRIALS, RUNS = "trials", "runs"
ENOUGH = 12
"""Trials that the time is shared out to, if no number is given."""

Say = Callable[[str], None]


def search(
    config_path: Path,
    output: Path,
    *,
    overrides: dict[str, Any] | None = None,
    options: Options | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Search settings that suit a corpus better than a config's own.

    The first trial is the config as it is; the others are proposed by TPE from what came before,
    and the worse half is stopped early. They choose by their scores on the dev texts alone. With
    test texts the best settings and the config's own are then trained in full length, with several
    seeds, and compared once. A search that was cut off goes on in the same folder.

    Args:
        config_path: A spaCy config.
        output: Folder to work in: ``trials.jsonl``, ``best.cfg``, ``report.json``,
            ``report.html`` and, with test texts, the pipelines in ``runs``.
        overrides: Config values by dotted name.
        options: How to search.
        say: Is told of each trial, in one line.

    Returns:
        The content of ``report.json``.

    Raises:
        BertZhError: The config, the space or the folder is no good, or the config itself can't be
            trained.
    """
    from spacy_bert_zh.search.report import make_report, render_page
    from spacy_bert_zh.search.training import trainer

    options = options or Options()
    config, space = _prepare(config_path, overrides or {}, options)
    corpora = config.interpolate()["corpora"].values()
    inputs = [corpus.get("path") for corpus in corpora]
    check_apart(output, [given for given in (*inputs, options.test) if given])
    known = [CONFIG, SHORT, BEST, SEARCH, *OUTPUTS, TRIALS, RUNS, "trials.jsonl*"]
    with workshop(output, "search", *known) as folder, trainer(options) as train:
        _check_same(folder, config, space, options)
        trials = _run(folder, space, options, train, say)
        best = max(range(len(trials)), key=lambda number: _rank(trials[number]))
        _write_config(folder / BEST, config, trials[best].settings)
        say(f"The best is trial {best}: {trials[best].score:.4f} on dev; {folder / BEST}")
        report = make_report(folder, space, trials, best, options, train, say)
        text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)
        for name, content in zip(OUTPUTS, (text + "\n", render_page(report)), strict=True):
            with whole(folder / name) as part:
                part.write_text(content, "utf-8")
    return report


def _rank(trial: "Trial") -> tuple[bool, float]:
    return trial.finished, trial.score


def _prepare(path: Path, overrides: dict[str, Any], options: Options) -> "tuple[Config, Space]":
    """A config that fits its corpus and will fit no more, and what may change in it."""
    from spacy_bert_zh.search.space import default_space, read_space
    from spacy_bert_zh.train.config import load_training_config, readable_errors
    from spacy_bert_zh.train.recipe import fit_recipe

    config = load_training_config(path, overrides)
    with readable_errors(path):
        config, _ = fit_recipe(config, overrides)
        plain = config.interpolate()
    if "recipe" in config:
        config["recipe"]["fit"] = False
    space = read_space(options.space, plain) if options.space else default_space(plain)
    return config, space


def _check_same(folder: Path, config: "Config", space: "Space", options: Options) -> None:
    """Let a search go on only as what it began as."""
    from spacy_bert_zh.search.space import describe_space

    text = config.to_str()
    now = {
        "config": text,
        "space": describe_space(space),
        "processes": options.processes,
        "seed": options.seed,
    }
    path = folder / SEARCH
    if path.exists():
        if json.loads(path.read_text("utf-8")) != json.loads(json.dumps(now)):
            raise BertZhError(
                f"{folder} holds another search (its config, space, --processes or --seed differ): "
                "name another folder, or remove it"
            )
        return
    for name, content in ((CONFIG, text), (SEARCH, json.dumps(now, ensure_ascii=False))):
        with whole(folder / name) as part:
            part.write_text(content, "utf-8")


def _run(folder: Path, space: "Space", options: Options, train: "Train", say: Say) -> "list[Trial]":
    """Round after round of trials, until the number or the time is reached."""
    from thinc.api import Config

    from spacy_bert_zh.search.space import propose, value_at
    from spacy_bert_zh.search.trial import read_table, write_table

    trials = read_table(folder)
    plain = Config().from_disk(folder / CONFIG).interpolate()
    own = {key: value_at(plain, key) for key in space}
    each = options.minutes / (options.trials or ENOUGH)
    while not _over(trials, options):
        if trials:
            # A round that a kill cut off proposes the same again.
            before = trials[: len(trials) - (len(trials) - 1) % options.processes]
            settings = propose(space, before, options.processes, options.seed)
            settings = settings[len(trials) - len(before) :]
            config, minutes = folder / SHORT, 0.0
        else:
            before, settings, config, minutes = [], [own], folder / CONFIG, each
        if options.trials:
            settings = settings[: options.trials - len(trials)]
        folders = [folder / TRIALS / str(len(trials) + place) for place in range(len(settings))]
        found = train(config, folders, settings, before, minutes)
        if not trials:
            if found[0].error:
                raise BertZhError(f"The config itself can't be trained: {found[0].error}")
            _shorten(folder, folders[0])
        for number, trial in enumerate(found, len(trials)):
            say(f"trial {number}: {_tell(trial)}")
        trials += found
        write_table(folder, trials)
        remove(folder / TRIALS)
    return trials


def _over(trials: "Sequence[Trial]", options: Options) -> bool:
    if options.trials and len(trials) >= options.trials:
        return True
    spent = sum(trial.seconds for trial in trials) / options.processes
    return bool(options.minutes and trials and spent >= 60 * options.minutes)


def _tell(trial: "Trial") -> str:
    if trial.error:
        return f"failed: {trial.error}"
    stopped = "" if trial.finished else f", stopped at step {trial.steps:,}"
    return f"{trial.score:.4f} on dev{stopped}"


def _shorten(folder: Path, first: Path) -> None:
    """Let all trials be as long as the first one, and be looked at as often."""
    from thinc.api import Config

    trained = Config().from_disk(first / "model-last" / "config.cfg", interpolate=False)
    config = Config().from_disk(folder / CONFIG, interpolate=False)
    for key in ("max_steps", "eval_frequency"):
        config["training"][key] = trained["training"][key]
    rates = trained["training"]["optimizer"]["learn_rate"]
    if isinstance(rates, dict):
        config["training"]["optimizer"]["learn_rate"] = rates
    with whole(folder / SHORT) as part:
        config.to_disk(part)


def _write_config(path: Path, config: "Config", settings: "Settings") -> None:
    from thinc.api import Config

    config = config.copy()
    for key, value in settings.items():
        *sections, last = key.split(".")
        section: Any = config
        for name in sections:
            section = section[name]
        section[last] = value
    with whole(path) as part:
        Config(config).to_disk(part)
