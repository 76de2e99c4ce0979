"""The way through a cross-validation: deal out, train, judge what stayed out, report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy_bert_zh.crossval.options import Options
from spacy_bert_zh.files import check_apart, whole, workshop

OUTPUTS = ("report.json", "report.html")
Say = Callable[[str], None]


def crossval(
    config_path: Path,
    corpus: Path,
    output: Path,
    *,
    overrides: dict[str, Any] | None = None,
    options: Options | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Train once for each fold of a corpus, and judge it by the rows that it hasn't seen.

    Labels are dealt out evenly and near-duplicates stay in one fold. A part of a fold's training
    rows chooses its best step: the rows that judge it choose nothing. A cross-validation that was
    cut off goes on in the same folder.

    Args:
        config_path: A spaCy config; its corpora and labels are those of `corpus`.
        corpus: A ``.spacy`` file, or a folder of them, labelled.
        output: Folder to work in: ``predictions.jsonl`` with what was said of each row,
            ``report.json``, ``report.html``, and the pipelines in ``folds``.
        overrides: Config values by dotted name.
        options: How to go about it.
        say: Is told of each fold, in one line.

    Returns:
        The content of ``report.json``.

    Raises:
        BertZhError: The config, the corpus or the folder is no good, or a training fails.
    """
    from spacy_bert_zh.crossval.report import make_report, render_page
    from spacy_bert_zh.crossval.trainings import FOLDS, Folds
    from spacy_bert_zh.folds import (
        PREDICTIONS,
        WORKBENCH,
        join,
        read_rows,
        to_predictions,
        write_judged,
    )
    from spacy_bert_zh.train.code import import_code

    options = options or Options()
    check_apart(output, [corpus])
    code = import_code(options.code)
    rows = read_rows(corpus, options.folds)
    if rare := rows.named(rows.gold.sum(axis=0) < options.folds):
        say(f"Fewer rows than folds, so that some folds lack the label: {rare}")
    known = [*WORKBENCH, PREDICTIONS, *OUTPUTS, FOLDS]
    with workshop(output, "crossval", *known) as folder:
        run = Folds(folder, config_path, overrides or {}, corpus, rows, options, code)
        judged = []
        for fold in range(options.folds):
            judged.append(run.judge(fold))
            right = (judged[fold].given == rows.gold[judged[fold].rows]).all(axis=1)
            say(f"fold {fold}: {right.mean():.4f} of {len(right):,} rows are right")
        every = join(judged)
        write_judged(folder / PREDICTIONS, rows, every)
        predictions = to_predictions(rows, every)
        report = make_report(corpus.resolve().name, predictions, run.fold_of, run.learnt())
        text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)
        pages = (text + "\n", render_page(report, predictions))
        for name, content in zip(OUTPUTS, pages, strict=True):
            with whole(folder / name) as part:
                part.write_text(content, "utf-8")
    return report
