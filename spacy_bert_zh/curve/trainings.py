"""What is trained on each share of the rows, and measured."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.curve.options import Options
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import remove
from spacy_bert_zh.folds import (
    CONFIG,
    LABELS,
    PREDICTIONS,
    Judged,
    Rows,
    begin,
    deal,
    judge,
    near_groups,
    read_judged,
    write_judged,
    write_parts,
)
from spacy_bert_zh.train.child import train_apart
from spacy_bert_zh.train.config import load_for, seeded

RUNS = "runs"
LEFT_OUT, LEARNT = -1, 0
"""What a row is for in a training."""


class Runs:
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
        code: str,
    ) -> None:
        self.folder, self.corpus, self.options = folder, corpus, options
        self.rows, self.dev = rows, dev
        loaded, self.keys = load_for(config, overrides, corpus, options.dev)
        self.groups = near_groups(rows.texts, rows.links)
        self.lacking = self._find_lacking()
        what = {**asdict(options), "dev": dev.digest(), "gpu_id": None, "code": code}
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
            {**settings, **seeded(self.folder / CONFIG, seed)},
            minutes,
            self.options.gpu_id,
            self.options.code,
        )
        every = np.arange(len(self.dev.texts))
        judged = judge(training / "model-last", self.dev, every, self.options.gpu_id)
        write_judged(place / PREDICTIONS, self.dev, judged)
