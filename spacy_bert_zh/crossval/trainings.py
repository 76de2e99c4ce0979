"""What is trained for each fold, and judged by it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.crossval.options import Options
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
from spacy_bert_zh.train.config import load_for

FOLDS = "folds"
HELD, LEARNT, CHOOSING = -1, 0, 1
"""What a row is for in a fold: to judge by, to learn from, or to choose the best step by."""


class Folds:
    """The folds of a corpus, and what is trained for them."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        overrides: dict[str, Any],
        corpus: Path,
        rows: Rows,
        options: Options,
        code: str,
    ) -> None:
        self.folder, self.corpus, self.rows, self.options = folder, corpus, rows, options
        loaded, self.keys = load_for(config, overrides, corpus, corpus)
        self.groups = near_groups(rows.texts, rows.links)
        self.fold_of = deal(rows.gold, self.groups, [1] * options.folds, options.seed)
        for fold in range(options.folds):
            if set(self._parts(fold)) < {HELD, LEARNT, CHOOSING}:
                raise BertZhError(
                    f"{corpus} has too few rows, or too few that aren't near-duplicates, "
                    f"for {options.folds} folds and a --dev-share of {options.dev_share:g}: take "
                    "fewer folds"
                )
        begin(folder, "crossval", loaded, rows, {**asdict(options), "gpu_id": None, "code": code})

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
        train_apart(
            self.folder / CONFIG, place, given, minutes, self.options.gpu_id, self.options.code
        )
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
