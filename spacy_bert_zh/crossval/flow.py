"""The way through a cross-validation: deal out, train, judge what stayed out, report."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.crossval.options import Options
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import check_apart, remove, whole, workshop
from spacy_bert_zh.folds import (
    CONFIG,
    LABELS,
    WORKBENCH,
    Judged,
    Rows,
    begin,
    deal,
    join,
    judge,
    near_groups,
    read_judged,
    read_rows,
    to_predictions,
    write_judged,
    write_parts,
)
from spacy_bert_zh.train.child import train_apart
from spacy_bert_zh.train.config import load_for

PREDICTIONS, FOLDS = "predictions.jsonl", "folds"
OUTPUTS = ("report.json", "report.html")
HELD, LEARNT, CHOOSING = -1, 0, 1
"""What a row is for in a fold: to judge by, to learn from, or to choose the best step by."""

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

    options = options or Options()
    check_apart(output, [corpus])
    rows = read_rows(corpus, options.folds)
    if rare := rows.named(rows.gold.sum(axis=0) < options.folds):
        say(f"Fewer rows than folds, so that some folds lack the label: {rare}")
    known = [*WORKBENCH, PREDICTIONS, *OUTPUTS, FOLDS]
    with workshop(output, "crossval", *known) as folder:
        run = _Folds(folder, config_path, overrides or {}, corpus, rows, options)
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


class _Folds:
    """The folds of a corpus, and what is trained for them."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        overrides: dict[str, Any],
        corpus: Path,
        rows: Rows,
        options: Options,
    ) -> None:
        self.folder, self.corpus, self.rows, self.options = folder, corpus, rows, options
        loaded, self.keys = load_for(config, overrides, corpus, corpus)
        self.groups = near_groups(rows.texts)
        self.fold_of = deal(rows.gold, self.groups, [1] * options.folds, options.seed)
        for fold in range(options.folds):
            if set(self._parts(fold)) < {HELD, LEARNT, CHOOSING}:
                raise BertZhError(
                    f"{corpus} has too few rows, or too few that aren't near-duplicates, "
                    f"for {options.folds} folds and a --dev-share of {options.dev_share:g}: take "
                    "fewer folds"
                )
        begin(folder, "crossval", loaded, rows, {**asdict(options), "gpu_id": None})

    def judge(self, fold: int) -> Judged:
        """Train without a fold, and ask about it, unless that is done."""
        place = self.folder / FOLDS / str(fold)
        if not (place / PREDICTIONS).exists():
            self._train(fold, place)
        # What nobody needs any more takes most of the room.
        for rest in ("corpus", "model-last"):
            remove(place / rest)
        return read_judged(place / PREDICTIONS, self.rows)

    def _train(self, fold: int, place: Path) -> None:
        remove(place / "corpus")
        train, dev = place / "corpus" / "train", place / "corpus" / "dev"
        write_parts(self.corpus, self._parts(fold), [train, dev])
        given = dict(zip(self.keys, map(str, (train, dev, self.folder / LABELS)), strict=False))
        minutes = self.options.minutes / self.options.folds
        train_apart(self.folder / CONFIG, place, given, minutes, self.options.gpu_id)
        held = np.flatnonzero(self.fold_of == fold)
        judged = judge(place / "model-best", self.rows, held, self.options.gpu_id)
        write_judged(place / PREDICTIONS, self.rows, judged)

    def learnt(self) -> list[int]:
        """Rows that each fold's pipeline learnt from, those that chose its step not counted."""
        return [int((self._parts(fold) == LEARNT).sum()) for fold in range(self.options.folds)]

    def _parts(self, fold: int) -> NDArray[np.int64]:
        """What each row is for in a fold."""
        part_of = np.full(len(self.rows.texts), HELD)
        seen = self.fold_of != fold
        shares = [1 - self.options.dev_share, self.options.dev_share]
        part_of[seen] = deal(self.rows.gold[seen], self.groups[seen], shares, self.options.seed)
        return part_of
