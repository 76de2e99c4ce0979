"""The batches of pretraining, each a function of the step and the seed alone."""

import multiprocessing
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset

from spacy_bert_zh.characters import read_similar
from spacy_bert_zh.checkpoint import SPECIAL
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import die_with_parent
from spacy_bert_zh.pretrain.masking import Replacements
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.pretrain.packing import Corpus, Plan, Specials, lay_out, mask_rows, pack
from spacy_bert_zh.pretrain.vectors import Vectors

PACKING, MASKING = range(2)
"""What a random stream is for: the word after the seed."""


class Batches(Dataset[dict[str, torch.Tensor]]):
    """Step by step, this process's share of the rows, packed anew in each epoch.

    Args:
        corpus: The documents.
        tokenizer: For the special pieces and those to replace by.
        options: Length, batch size, masking and seed.
        rank: Number of this process.
        world: How many processes there are; together they see the same rows as one would.
        vectors: A teacher's, of every document.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        options: Options,
        rank: int,
        world: int,
        vectors: Vectors | None = None,
    ) -> None:
        if options.batch_size % world:
            raise BertZhError(
                f"--batch-size {options.batch_size} can't be divided among {world} processes"
            )
        self._corpus = corpus
        self._options = options
        self._rank, self._world = rank, world
        self._vectors = vectors
        ids = {piece: tokenizer.token_to_id(piece) for piece in SPECIAL}
        self._specials = Specials(ids["[CLS]"], ids["[SEP]"], ids["[PAD]"], tuple(ids.values()))
        self._replacements = make_replacements(tokenizer, options)
        self._plans: dict[int, Plan] = {}
        self.rows = len(self._plan(0)) if len(corpus) else 0

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        size = self._options.batch_size
        return self.make(range(step * size + self._rank, (step + 1) * size, self._world))

    def make(self, numbers: Iterable[int]) -> dict[str, torch.Tensor]:
        """The batch of some rows, counted from the start of the first epoch."""
        # Which texts share a row changes, but not how many rows it takes.
        arrays = self._make([divmod(number, self.rows) for number in numbers])
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _plan(self, epoch: int) -> Plan:
        if epoch not in self._plans:
            # A batch spans two epochs at most.
            self._plans = {e: plan for e, plan in self._plans.items() if e == epoch - 1}
            rng = np.random.default_rng([self._options.seed, PACKING, epoch])
            self._plans[epoch] = pack(self._corpus.documents, self._options.length, rng)
        return self._plans[epoch]

    def _make(self, places: list[tuple[int, int]]) -> dict[str, NDArray[Any]]:
        options = self._options
        parts = [
            lay_out(
                self._corpus,
                self._plan(epoch),
                [row for _, row in group],
                options.length,
                self._specials,
            )
            for epoch, group in groupby(places, key=lambda place: place[0])
        ]
        rows = type(parts[0])(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("ids", "positions", "documents", "words", "sources")
            )
        )
        seeds = [[options.seed, MASKING, epoch, row] for epoch, row in places]
        arrays = mask_rows(rows, seeds, options.mask_rate, options.ngrams, self._replacements)
        if self._vectors is None:
            return arrays
        return {**arrays, "texts": rows.texts(), "targets": self._vectors[rows.sources]}


def load_batches(batches: Batches, start: int, stop: int, workers: int) -> DataLoader[Any]:
    """Make the batches of the steps from `start` to `stop` ahead of their use."""
    batches[start]  # packs the epoch before the workers are forked
    forked = workers > 0 and "fork" in multiprocessing.get_all_start_methods()
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if forked else None,
        worker_init_fn=_begin,
        pin_memory=torch.cuda.is_available(),
    )


def _begin(worker: int) -> None:
    die_with_parent()


def make_replacements(tokenizer: Tokenizer, options: Options) -> Replacements:
    """What may replace a chosen piece: any piece that isn't special, or similar characters."""
    vocabulary = tokenizer.get_vocab()
    ordinary = [
        i
        for piece, i in vocabulary.items()
        if piece not in SPECIAL and not piece.startswith("[unused")
    ]
    pieces = np.asarray(sorted(ordinary), dtype=np.int64)
    mask = vocabulary["[MASK]"]
    if not options.similar:
        return Replacements(mask, pieces)
    similar = _read_similar(options.similar, vocabulary)
    size = max(vocabulary.values()) + 1
    counts = np.asarray([len(similar.get(i, ())) for i in range(size)], dtype=np.int64)
    ends = np.cumsum(counts)
    flat = [other for i in range(size) for other in similar.get(i, ())]
    spans = np.stack([ends - counts, ends], axis=1)
    return Replacements(mask, pieces, spans, np.asarray(flat, dtype=np.int64))


def _read_similar(paths: tuple[Path, ...], vocabulary: dict[str, int]) -> dict[int, list[int]]:
    similar = {
        vocabulary[character]: sorted(
            {vocabulary[other] for other in others if other in vocabulary}
        )
        for character, others in read_similar(paths).items()
        if character in vocabulary
    }
    if not any(similar.values()):
        listed = ", ".join(map(str, paths))
        raise BertZhError(f"--similar {listed}: none of its characters are in the vocabulary")
    return similar
