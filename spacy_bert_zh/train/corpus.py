"""``spacy_bert_zh.corpus.v1``, and the same shuffled while it streams."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files.docbins import ShardCorpus

Item = TypeVar("Item")

SHUFFLED = "spacy_bert_zh.shuffled_corpus.v1"


def build_corpus_v1(path: str | Path | None, max_length: int = 0, limit: int = 0) -> ShardCorpus:
    """Build a reader that is spacy.Corpus.v1, but faster where texts tell where they are from.

    Args:
        path: See `build_shuffled_corpus_v1`.
        max_length: See `build_shuffled_corpus_v1`.
        limit: See `build_shuffled_corpus_v1`.

    Raises:
        BertZhError: There is nothing at `path`.
    """
    return ShardCorpus(_found(path), max_length=max_length, limit=limit)


def build_shuffled_corpus_v1(
    path: str | Path | None, buffer: int = 10_000, max_length: int = 0, limit: int = 0
) -> "ShuffledCorpus":
    """Build a reader for a corpus that is larger than memory.

    With ``training.max_epochs = -1`` spaCy streams the corpus as it stands, and one that
    is sorted by label then trains to chance. This reader takes the shards in random
    order and shuffles through a buffer, anew each epoch, from Python's `random` (which
    spaCy seeds with ``training.seed``).

    Args:
        path: A .spacy file, or a folder of such shards.
        buffer: Documents held for shuffling; one shard at a time is in memory besides.
        max_length: Tokens from which a document is cut into sentences, as in
            spacy.Corpus.v1; 0 takes it whole.
        limit: Documents read, always the same ones, at most; 0 reads all.

    Raises:
        BertZhError: There is nothing at `path`, or the buffer is empty.
    """
    found = _found(path)
    if buffer < 1:
        raise BertZhError(f"shuffled_corpus: buffer = {buffer} must be at least 1")
    return ShuffledCorpus(found, buffer=buffer, max_length=max_length, limit=limit)


class ShuffledCorpus(ShardCorpus):
    """The same with its shards and documents in random order."""

    def __init__(self, path: Path, *, buffer: int, max_length: int, limit: int) -> None:
        super().__init__(path, max_length=max_length, limit=limit)
        self.buffer = buffer

    def read_docbin(self, vocab: Vocab, locs: Iterable[str | Path]) -> Iterator[Doc]:
        """Yield the documents of all shards, shuffled; with a limit, the same ones each time."""
        shards = list(locs)
        if not self.limit:
            random.shuffle(shards)
        yield from shuffle_buffer(super().read_docbin(vocab, shards), self.buffer)


def shuffle_buffer(items: Iterable[Item], size: int) -> Iterator[Item]:
    """Yield every item once, in an order random within a buffer of `size`."""
    held: list[Item] = []
    for item in items:
        if len(held) < size:
            held.append(item)
            continue
        index = random.randrange(size)
        held[index], item = item, held[index]
        yield item
    random.shuffle(held)
    yield from held


def _found(path: str | Path | None) -> Path:
    if path is None or not Path(path).exists():
        raise BertZhError(f"No corpus at {path}: set paths.train and paths.dev")
    return Path(path)
