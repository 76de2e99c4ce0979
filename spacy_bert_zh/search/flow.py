"""``search``: trials on the dev texts, the best settings, and what these are worth on others."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import check_apart, contents, remove, whole, workshop
from spacy_bert_zh.search.options import Options, Say
from spacy_bert_zh.search.trial import CANDIDATE, CONFIG, FOUND, RUNS, SHORT, TRIALS, Trial

if TYPE_CHECKING:
    from thinc.api import Config

    from spacy_bert_zh.search.space import Settings, Space

SEARCH = "search.json"
OUTPUTS = ("best.cfg", "report.json", "report.html")


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
    and the worse half is stopped early. They choose by their scores on the dev texts alone. Then
    the best settings and the config's own are trained in full length with other seeds, and are
    kept if no figure is worse on dev again; with test texts both are compared there once. A search
    that was cut off goes on in the same folder.

    Args:
        config_path: A spaCy config.
        output: Folder to work in: ``trials.jsonl``, ``best.cfg``, ``report.json``,
            ``report.html`` and the pipelines in ``runs``.
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
    from spacy_bert_zh.search.running import fitting_space, run_trials
    from spacy_bert_zh.search.training import beginner
    from spacy_bert_zh.train.code import import_code
    from spacy_bert_zh.train.config import corpus_paths

    options = options or Options()
    code = import_code(options.code)
    config, space = _prepare(config_path, overrides or {}, options)
    corpora = [one.get("path") for one in config.interpolate()["corpora"].values()]
    inputs = [Path(path) for path in corpora if path]
    check_apart(output, [*inputs, *([options.test] if options.test else [])])
    # A corpus may stand in the config that no trial reads, such as raw text.
    train, dev = corpus_paths(config_path, overrides or {}).values()
    if options.test:
        _check_test(options.test, [train, dev], say)
    known = [CONFIG, SHORT, CANDIDATE, SEARCH, *OUTPUTS, TRIALS, RUNS, "trials.jsonl*"]
    with workshop(output, "search", *known) as folder, beginner(options) as begin:
        _check_same(folder, config, code, space, options, inputs)
        trials = run_trials(folder, space, options, begin, say)
        best = max(range(len(trials)), key=lambda number: _rank(trials[number]))
        _write_candidate(folder, config, trials[best].settings)
        say(f"The best is trial {best}: {trials[best].score:.4f} on dev")
        tried = fitting_space(folder, space)
        report = make_report(folder, tried, trials, best, dev, options, begin, say)
        text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)
        chosen = (folder / (CANDIDATE if report["kept"] else CONFIG)).read_text("utf-8")
        for name, content in zip(OUTPUTS, (chosen, text + "\n", render_page(report)), strict=True):
            with whole(folder / name) as part:
                part.write_text(content, "utf-8")
    return report


def _rank(trial: Trial) -> tuple[bool, float]:
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
    space = read_space(options.space, plain) if options.space else default_space(config)
    return config, space


def _check_test(test: Path, known: Sequence[Path], say: Say) -> None:
    """Whether texts can tell what a search is worth, before it takes its time.

    Raises:
        BertZhError: There is none, they were seen, or have labels that no training has.
    """
    from spacy_bert_zh.folds import read_rows

    if test.resolve() in [path.resolve() for path in known]:
        raise BertZhError(
            f"--test {test} is what the trials learn from or are chosen by: give other texts"
        )
    rows, seen = read_rows(test), [read_rows(path) for path in known]
    if missing := set(rows.labels).difference(*(one.labels for one in seen)):
        raise BertZhError(
            f"--test {test} has the label {min(missing)!r}, and no text to learn from has it: "
            "convert them together"
        )
    if twice := len(set(rows.texts) & {text for one in seen for text in one.texts}):
        say(f"{twice:,} texts of {test} are among those to learn from or to choose by, too")


def _check_same(
    folder: Path,
    config: "Config",
    code: str,
    space: "Space",
    options: Options,
    inputs: Sequence[Path],
) -> None:
    """Let a search go on only as what it began as."""
    from spacy_bert_zh.search.space import describe_space

    text = config.to_str()
    now = {
        "config": text,
        "code": code,
        "corpora": contents(inputs),
        "space": describe_space(space),
        "processes": options.processes,
        "seed": options.seed,
    }
    path = folder / SEARCH
    if path.exists():
        if json.loads(path.read_text("utf-8")) != json.loads(json.dumps(now)):
            raise BertZhError(
                f"{folder} holds another search (its config, corpora, code, space, --processes or "
                "--seed differ): name another folder, or remove it"
            )
        return
    for name, content in ((CONFIG, text), (SEARCH, json.dumps(now, ensure_ascii=False))):
        with whole(folder / name) as part:
            part.write_text(content, "utf-8")


def _write_candidate(folder: Path, config: "Config", settings: "Settings") -> None:
    """Write the config of the best trial, and remove what was trained by another one."""
    from thinc.api import Config

    config = config.copy()
    for key, value in settings.items():
        *sections, last = key.split(".")
        section: Any = config
        for name in sections:
            section = section[name]
        section[last] = value
    text, path = Config(config).to_str(), folder / CANDIDATE
    if path.exists() and path.read_text("utf-8") != text:
        for run in (folder / RUNS).glob(f"{FOUND}-*"):
            remove(run)
    with whole(path) as part:
        part.write_text(text, "utf-8")
