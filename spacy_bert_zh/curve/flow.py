"""The way through a learning curve: train on nested shares, measure, fit a law, report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy_bert_zh.curve.options import Options
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import check_apart, whole, workshop

OUTPUTS = ("report.json", "report.html")
Say = Callable[[str], None]


def curve(
    config_path: Path,
    corpus: Path,
    output: Path,
    options: Options,
    *,
    overrides: dict[str, Any] | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Train on growing shares of a corpus, and forecast what twice as many rows would bring.

    Each share holds the smaller ones, has all labels in proportion, and near-duplicates come
    together. The pipeline of the last step is measured, so that the texts it is measured by have
    chosen nothing. A curve that was cut off goes on in the same folder.

    Args:
        config_path: A spaCy config; its corpora and labels are those of `corpus`.
        corpus: A ``.spacy`` file, or a folder of them, labelled.
        output: Folder to work in: ``report.json``, ``report.html``, and in ``runs`` what each
            pipeline said.
        options: How to go about it, and the texts to measure by.
        overrides: Config values by dotted name.
        say: Is told of each training, in one line.

    Returns:
        The content of ``report.json``.

    Raises:
        BertZhError: The config, a corpus or the folder is no good, or a training fails.
    """
    from spacy_bert_zh.curve.report import make_report, render_page
    from spacy_bert_zh.curve.trainings import LEARNT, RUNS, Runs
    from spacy_bert_zh.folds import WORKBENCH, read_rows
    from spacy_bert_zh.train.code import import_code

    check_apart(output, [corpus, options.dev])
    code = import_code(options.code)
    rows, dev = read_rows(corpus), read_rows(options.dev)
    if differing := set(rows.labels) ^ set(dev.labels):
        raise BertZhError(
            f"{corpus} and {options.dev} have different labels: only one has {min(differing)!r}; "
            "convert them together"
        )
    if known := len(set(rows.texts).intersection(dev.texts)):
        say(f"{known:,} texts of {options.dev} are training rows as well: the curve is too good")
    with workshop(output, "curve", *WORKBENCH, *OUTPUTS, RUNS) as folder:
        runs = Runs(folder, config_path, overrides or {}, corpus, rows, dev, options, code)
        for share, lacking in runs.lacking.items():
            say(f"{share:g} of the rows has none of {lacking}")
        found = []
        for seed in range(options.seeds):
            for share in sorted(options.shares):
                judged = runs.judge(share, seed)
                right = (judged.given == dev.gold).all(axis=1).mean()
                learnt = int((runs.parts(share, seed) == LEARNT).sum())
                say(f"{learnt:,} rows, seed {seed}: {right:.4f} of {len(dev.texts):,} texts right")
                found.append((share, seed, learnt, judged))
        report = make_report(corpus.resolve().name, options.dev.resolve().name, rows, dev, found)
        text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)
        for name, content in zip(OUTPUTS, (text + "\n", render_page(report)), strict=True):
            with whole(folder / name) as part:
                part.write_text(content, "utf-8")
    return report
