"""How good the forecast of `curve` is: from half of the rows, against what all of them bring.

    python benchmarks/curve.py WORK CORPUS… [--config benchmarks/ngrams.cfg]

Each CORPUS is a folder with train and dev, as `convert` writes it. Without a config a linear SVM
learns from TF-IDF of one to three characters, weighted by all training texts; with one, `curve`
itself is run. What has been said stands in WORK, and a second call does only what is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from spacy_bert_zh.curve import Options, curve
from spacy_bert_zh.curve.report import Run, forecast_figure
from spacy_bert_zh.evaluate import answer_columns, answer_figures
from spacy_bert_zh.folds import (
    Judged,
    Rows,
    deal,
    near_groups,
    read_judged,
    read_rows,
    to_predictions,
    write_judged,
)

SHARES = 0.05, 0.1, 0.2, 0.35, 0.5, 1.0
HALF = 0.5
SEEDS = 3


def main(
    work: Annotated[Path, typer.Argument(help="Folder for what is said.")],
    corpora: Annotated[list[Path], typer.Argument(help="Folders with train and dev.")],
    config: Annotated[Path | None, typer.Option(help="What learns; else a linear SVM.")] = None,
    seeds: Annotated[int, typer.Option(help="Trainings for each share.")] = SEEDS,
) -> None:
    """Print a table in Markdown."""
    print("| corpus | half, all | forecast (95 %) | truth | off by, points | points gained |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for corpus in corpora:
        rows, dev = read_rows(corpus / "train"), read_rows(corpus / "dev")
        place = work / (config.stem if config else "svm") / corpus.name
        if config:
            runs = _train(config, corpus, place, dev, seeds)
        else:
            runs = list(_learn(rows, dev, place, seeds))
        print(_line(corpus.name, dev, runs), flush=True)


def _line(name: str, dev: Rows, runs: list[Run]) -> str:
    key = "accuracy" if dev.exclusive else "micro_f1"
    columns = [answer_columns(to_predictions(dev, judged)) for *_, judged in runs]
    values = [float(answer_figures(one.sum(axis=0), len(one))[key]) for one in columns]
    half = [i for i, (share, *_) in enumerate(runs) if share <= HALF]
    learnt = np.array([float(count) for *_, count, _ in runs])
    whole = learnt.max()
    found = forecast_figure([columns[i] for i in half], key, learnt[half], np.array([whole]))
    said, low, high = (float(1 - one[0]) for one in (found.errors, found.high, found.low))
    truth, last = (
        float(np.mean([value for value, run in zip(values, runs, strict=True) if run[0] == share]))
        for share in (1.0, HALF)
    )
    numbers = f"{learnt[half].max():,.0f}, {whole:,.0f}"
    return (
        f"| {name} | {numbers} | {said:.4f} ({low:.4f} to {high:.4f}) "
        f"| {truth:.4f} | {100 * (said - truth):+.2f} | {100 * (truth - last):+.2f} |"
    )


def _train(config: Path, corpus: Path, place: Path, dev: Rows, seeds: int) -> list[Run]:
    options = Options(corpus / "dev", SHARES, seeds)
    report = curve(config, corpus / "train", place, options, say=lambda line: None)
    return [
        (
            *(run["share"], run["seed"], run["rows"]),
            read_judged(place / "runs" / f"{run['share']:g}-{run['seed']}/predictions.jsonl", dev),
        )
        for run in report["runs"]
    ]


def _learn(rows: Rows, dev: Rows, place: Path, seeds: int) -> Iterator[Run]:
    """What an SVM says of the texts to measure by, after each share."""
    groups = near_groups(rows.texts)
    features: Any = None
    place.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        part_of = deal(rows.gold, groups, np.diff([0.0, *SHARES]).tolist(), seed)
        for number, share in enumerate(SHARES):
            learnt = part_of <= number
            path = place / f"{share:g}-{seed}.jsonl"
            if not path.exists():
                features = features or _vectors(rows, dev)
                write_judged(path, dev, _judge(rows, features, learnt))
            yield share, seed, int(learnt.sum()), read_judged(path, dev)


def _vectors(rows: Rows, dev: Rows) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2, dtype=np.float32
    )
    return vectorizer.fit_transform(rows.texts), vectorizer.transform(dev.texts)


def _judge(rows: Rows, features: tuple[Any, Any], learnt: np.ndarray) -> Judged:
    given = rows.gold[learnt]
    if rows.exclusive:
        model = LinearSVC(C=0.3).fit(features[0][learnt], given.argmax(axis=1))
        marks = np.eye(len(rows.labels), dtype=bool)[model.predict(features[1])]
    else:
        model = OneVsRestClassifier(LinearSVC()).fit(features[0][learnt], given)
        marks = model.predict(features[1]).astype(bool)
    return Judged(np.arange(len(marks)), marks.astype(float), marks)


if __name__ == "__main__":
    typer.run(main)
