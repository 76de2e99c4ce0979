"""What a search is worth: its settings beside the config's own, on texts that chose nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import (
    PICTURE,
    Predictions,
    answer_columns,
    answer_figures,
    make_environment,
    predict,
    resample,
)
from spacy_bert_zh.evaluate.paired import mean_gain
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.search.options import Options, Say
from spacy_bert_zh.search.space import Space, importance
from spacy_bert_zh.search.training import Begin, Job, Running, side_by_side
from spacy_bert_zh.search.trial import CANDIDATE, CONFIG, FOUND, GIVEN, RUNS, Trial
from spacy_bert_zh.train.config import seeded

Figures = Mapping[str, Sequence[Mapping[str, Any]]]
"""By config and training, the figures by their names."""
CONFIGS = {FOUND: CANDIDATE, GIVEN: CONFIG}


def make_report(
    folder: Path,
    space: Space,
    trials: Sequence[Trial],
    best: int,
    dev: Path,
    options: Options,
    begin: Begin,
    say: Say,
) -> dict[str, Any]:
    """Train in full length with other seeds, and gather all that people want to know.

    What loses in any figure then, in the mean on dev, isn't kept: the best of many trials is partly
    luck (as SMAC runs a challenger again before it takes it, Hutter et al. 2011, section 3), and
    with few texts of a label a macro F1 can be bought with accuracy.

    Args:
        folder: The search's.
        space: What could change.
        trials: All of them.
        best: Which of them is the best.
        dev: Texts that chose it.
        options: How to search.
        begin: Begins a training.
        say: Is told what goes on.
    """
    again, test, kept = None, None, False
    if not best:
        say("Nothing better than the config itself was found: there is nothing to compare")
    else:
        _train(folder, options, begin, say)
        again = _compare(folder, options, dev)
        gains = [one["gain"] for one in again["gains"].values()]
        kept = min(gains) >= 0 < max(gains)
        for key in again["gains"]:
            say(f"other seeds, on dev: {_tell(again, key)}")
    if best and not kept:
        say("Other seeds don't bear it out: best.cfg is the config itself")
    if kept and options.test:
        test = _compare(folder, options, options.test)
    return {
        "trials": [
            {"score": one.score, "finished": one.finished, "steps": one.steps, "error": one.error}
            for one in trials
        ],
        "best": best,
        "kept": kept,
        "dev": again,
        "settings": [
            {"name": key, "given": trials[0].settings[key], "found": trials[best].settings[key]}
            for key in space
        ],
        "importance": importance(space, trials),
        "test": test,
    }


def _compare(folder: Path, options: Options, corpus: Path) -> dict[str, Any]:
    said: dict[str, list[Predictions]] = {}
    for name in CONFIGS:
        runs = _runs(folder, name, options)
        said[name] = [_predict(run / "model-best", corpus) for run in runs]
    exclusive = said[FOUND][0].exclusive
    measured = ["accuracy", "macro_f1", *(["micro_f1"] if not exclusive else [])]
    columns = {name: [answer_columns(one) for one in ones] for name, ones in said.items()}
    texts = len(columns[FOUND][0])
    # Each training once on the texts, and on the same drawings of them.
    figures = {
        name: [answer_figures(one.sum(axis=0), texts) for one in ones]
        for name, ones in columns.items()
    }
    drawn = {
        name: [answer_figures(resample(one), texts) for one in ones]
        for name, ones in columns.items()
    }
    return {
        "corpus": corpus.resolve().name,
        "texts": texts,
        "figures": {
            name: [{key: float(one[key]) for key in measured} for one in ones]
            for name, ones in figures.items()
        },
        "gains": {key: _gain(figures, drawn, key) for key in measured},
    }


def _gain(figures: Figures, drawn: Figures, key: str) -> dict[str, Any]:
    """How much better what was found is, in one figure."""
    given, found = (np.array([one[key] for one in figures[name]]) for name in (GIVEN, FOUND))
    means = {name: np.mean([one[key] for one in ones], axis=0) for name, ones in drawn.items()}
    gain, interval = mean_gain(given, found, float((means[FOUND] - means[GIVEN]).var()))
    return {"gain": gain, "interval": interval}


def _train(folder: Path, options: Options, begin: Begin, say: Say) -> None:
    """Train both with each seed, what isn't trained yet; the trials' own seed isn't among them."""
    runs = {name: _runs(folder, name, options) for name in CONFIGS}
    left = [
        (name, number)
        for name in CONFIGS
        for number, run in enumerate(runs[name])
        if not (run / PICTURE).exists()
    ]

    def begin_one(place: int) -> Running | None:
        if place >= len(left):
            return None
        name, number = left[place]
        say(f"training {CONFIGS[name]} in full length, {number + 1} of {options.seeds}")
        settings = seeded(folder / CONFIGS[name], number + 1)
        return begin(Job(folder / CONFIGS[name], runs[name][number], settings))

    for place, trial in side_by_side(begin_one, options.processes):
        if trial.error:
            config = CONFIGS[left[place][0]]
            raise BertZhError(f"{config} can't be trained in full length: {trial.error}")


def _runs(folder: Path, name: str, options: Options) -> list[Path]:
    return [folder / RUNS / f"{name}-{number}" for number in range(options.seeds)]


def _predict(pipeline: Path, corpus: Path) -> Predictions:
    nlp = load_pipeline(pipeline)
    return predict(nlp, find_textcat(nlp, None), corpus)


def render_page(report: dict[str, Any]) -> str:
    """Render the HTML page.

    Args:
        report: The content of ``report.json``.
    """
    from markupsafe import Markup

    from spacy_bert_zh.plots import bars, curves, to_svg

    scores = [(number, one["score"]) for number, one in enumerate(report["trials"])]
    finished = [
        point for point, one in zip(scores, report["trials"], strict=True) if one["finished"]
    ]
    pictures = [
        to_svg(curves({"best so far": _best(scores), "trial": finished}, "trial", "score on dev"))
    ]
    if shares := report["importance"]:
        names = [name.rsplit(".", 1)[-1] for name in shares]
        notes = [f"{share:.0%}" for share in shares.values()]
        pictures.append(to_svg(bars(names, list(shares.values()), notes, "what mattered")))
    environment = make_environment("spacy_bert_zh.search")
    template = environment.get_template("search.html")
    return template.render(report=report, pictures=[Markup(svg) for svg in pictures])


def _best(scores: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The best score up to each trial."""
    highest = np.maximum.accumulate([score for _, score in scores])
    return [(number, float(score)) for (number, _), score in zip(scores, highest, strict=True)]


def lines(report: dict[str, Any]) -> list[str]:
    """What a terminal shows in the end."""
    test = report["test"]
    if test is None:
        return ["Not measured on texts that chose nothing: give --test"] if report["kept"] else []
    head = f"{test['corpus']}, {test['texts']:,} texts: "
    return [head + _tell(test, key) for key in test["gains"]]


def _tell(test: dict[str, Any], key: str) -> str:
    """One figure of both, and what the difference is worth."""
    given, found = (np.mean([one[key] for one in test["figures"][name]]) for name in (GIVEN, FOUND))
    gain, (low, high) = test["gains"][key]["gain"], test["gains"][key]["interval"]
    shown = "" if low > 0 or high < 0 else ": no difference shown"
    name = key.replace("_f1", " F1")
    return f"{name} {given:.4f} → {found:.4f}, {gain:+.4f} ({low:+.4f} to {high:+.4f}){shown}"
