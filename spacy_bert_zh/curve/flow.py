"""The way through a learning curve: train on nested shares, measure, fit a law, report."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.curve.options import Options
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
    judge,
    near_groups,
    read_judged,
    read_rows,
    write_judged,
    write_parts,
)
from spacy_bert_zh.train.child import train_apart
from spacy_bert_zh.train.config import load_for

PREDICTIONS, RUNS = "predictions.jsonl", "runs"
OUTPUTS = ("report.json", "report.html")
LEFT_OUT, LEARNT = -1, 0
"""What a row is for in a training."""

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

    check_apart(output, [corpus, options.dev])
    rows, dev = read_rows(corpus), read_rows(options.dev)
    if differing := set(rows.labels) ^ set(dev.labels):
        raise BertZhError(
            f"{corpus} and {options.dev} have different labels: only one has {min(differing)!r}; "
            "convert them together"
        )
    if known := len(set(rows.texts).intersection(dev.texts)):
        say(f"{known:,} texts of {options.dev} are training rows as well: the curve is too good")
    with workshop(output, "curve", *WORKBENCH, *OUTPUTS, RUNS) as folder:
        runs = _Runs(folder, config_path, overrides or {}, corpus, rows, dev, options)
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


class _Runs:
    """The trainings of a curve."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        overrides: dict[str, Any],
        corpus: Path,
        rows: Rows,
        dev: Rows,
        options: Options,
    ) -> None:
        self.folder, self.corpus, self.options = folder, corpus, options
        self.rows, self.dev = rows, dev
        loaded, self.keys = load_for(config, overrides, corpus, options.dev)
        self.groups = near_groups(rows.texts)
        self.lacking = self._find_lacking()
        what = {**asdict(options), "dev": dev.digest(), "gpu_id": None}
        begin(folder, "curve", loaded, rows, what)

    def parts(self, share: float, seed: int) -> NDArray[np.int64]:
        """What each row is for in a training: `LEARNT` or `LEFT_OUT`."""
        ends = sorted({*self.options.shares, 1.0})
        steps = np.diff([0.0, *ends])
        part_of = deal(self.rows.gold, self.groups, steps.tolist(), seed)
        return np.where(part_of <= ends.index(share), LEARNT, LEFT_OUT)

    def _find_lacking(self) -> dict[float, str]:
        """Labels of which a share has no row, by share, as far as there are any.

        Raises:
            BertZhError: A share has rows of fewer than two labels: nothing can be learnt from it.
        """
        found = {}
        for share in sorted(self.options.shares):
            counts = self.rows.gold[self.parts(share, 0) == LEARNT].sum(axis=0)
            if (counts > 0).sum() < 2:
                raise BertZhError(
                    f"--shares: {share:g} of the {len(self.rows.texts):,} rows has fewer than two "
                    "labels; give larger shares"
                )
            lost = self.rows.gold.any(axis=0) & (counts == 0)
            if lost.any():
                found[share] = self.rows.named(lost)
        return found

    def judge(self, share: float, seed: int) -> Judged:
        """Train on a share and ask about all texts to measure by, unless that is done."""
        place = self.folder / RUNS / f"{share:g}-{seed}"
        if not (place / PREDICTIONS).exists():
            self._train(share, seed, place)
        for rest in ("training", "corpus"):
            remove(place / rest)
        return read_judged(place / PREDICTIONS, self.dev)

    def _train(self, share: float, seed: int, place: Path) -> None:
        training, train = place / "training", place / "corpus"
        remove(train)
        write_parts(self.corpus, self.parts(share, seed), [train])
        given = (train, self.options.dev, self.folder / LABELS)
        settings = dict(zip(self.keys, map(str, given), strict=False))
        minutes = self.options.minutes * share / sum(self.options.shares) / self.options.seeds
        train_apart(
            self.folder / CONFIG,
            training,
            {**settings, "system.seed": seed},
            minutes,
            self.options.gpu_id,
        )
        every = np.arange(len(self.dev.texts))
        judged = judge(training / "model-last", self.dev, every, self.options.gpu_id)
        write_judged(place / PREDICTIONS, self.dev, judged)
