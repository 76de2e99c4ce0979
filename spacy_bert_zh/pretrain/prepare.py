"""Raw text → tokenised documents with word boundaries, once, by several processes, on disk."""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import pool, whole
from spacy_bert_zh.pretrain.joining import ranked
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.pretrain.packing import Corpus
from spacy_bert_zh.pretrain.vectors import Vectors
from spacy_bert_zh.pretrain.worker import Block, Lesson, Worker
from spacy_bert_zh.reading import get_format
from spacy_bert_zh.reading.overlap import Overlap, find_converted, read_texts
from spacy_bert_zh.reading.texts import as_unlabelled, read_clean
from spacy_bert_zh.untrusted import read_json

MOST_UNKNOWN = 0.01
# The share of unknown pieces is judged from here on.
ENOUGH_PIECES = 1_000_000
BLOCK = 200_000
PARTS = ("train", "held_out")


@dataclass
class Prepared:
    """A corpus on disk.

    Attributes:
        folder: Where it is; a folder for each part.
        train: What is learnt from.
        held_out: What is measured on.
        counts: Documents, pieces, characters and what was left out, for the record.
        vectors: A teacher's vectors of the two parts' documents, where there is a teacher.
    """

    folder: Path
    train: Corpus
    held_out: Corpus
    counts: dict[str, Any]
    vectors: tuple[Vectors | None, Vectors | None] = (None, None)


def corpus_texts(corpus: Path, options: Options, counts: Counter[str]) -> Iterator[str]:
    """Yield the clean texts of a corpus and count what can't be used."""
    return (text for text, _, _ in read_clean(corpus, options, counts))


def prepare(
    corpus: Path,
    tokenizer: Tokenizer,
    options: Options,
    work: Path,
    lesson: Lesson | None = None,
) -> Prepared:
    """Tokenise a corpus, or take what an earlier call with the same input left in `work`.

    Args:
        corpus: File or folder.
        tokenizer: Of the model to train.
        options: How to read it, and what to keep out.
        work: Where the result stands.
        lesson: How a teacher reads the same texts.

    Raises:
        BertZhError: The corpus is empty, or the vocabulary doesn't fit it.
    """
    further = [asdict(lesson), _weights(options.teacher)] if lesson and options.teacher else []
    folder = work / f"data-{fingerprint(corpus, options, tokenizer.to_str(), *further)}"
    if not (folder / "counts.json").exists():
        counts: Counter[str] = Counter()
        with whole(folder) as part:
            part.mkdir()
            texts = corpus_texts(corpus, options, counts)
            _tokenise(texts, tokenizer, options, part, counts, lesson)
            _check(counts, corpus)
            (part / "counts.json").write_text(json.dumps(counts, indent=2) + "\n", "utf-8")
    train, held_out = (_load(folder / part) for part in PARTS)
    return Prepared(folder, train, held_out, read_json(folder / "counts.json"))


def _weights(teacher: Path) -> list[tuple[str, int, int]]:
    """What changes with a teacher's weights: its vectors are of no use then."""
    files = [(file, file.stat()) for file in sorted(teacher.glob("*.safetensors"))]
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in files]


def fingerprint(corpus: Path, options: Options, *further: Any) -> str:
    """A short text that changes with the input files, how they are read, and `further`."""
    inputs = [*get_format(options.format).files(corpus)]
    inputs += [file for path in options.exclude for file in find_converted(path)]
    known = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in inputs]
    reading = asdict(as_unlabelled(options))
    content = json.dumps([known, reading, options.held_out, options.seed, *further], default=str)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


_worker: Worker


def _start_worker(*settings: Any) -> None:
    global _worker
    _worker = Worker(*settings)


def _work(texts: list[str]) -> Block:
    return _worker(texts)


def _tokenise(
    texts: Iterator[str],
    tokenizer: Tokenizer,
    options: Options,
    folder: Path,
    counts: Counter[str],
    lesson: Lesson | None,
) -> None:
    if find_spec("jieba") is None:
        raise missing_extra("jieba", "pretrain", "whole-word masking")
    overlap = Overlap(read_texts(options.exclude))
    with ExitStack() as stack:
        settings = (tokenizer.to_str(), overlap, options.held_out, options.seed, lesson)
        writers = {part: stack.enter_context(_write(folder / part, bool(lesson))) for part in PARTS}
        for block in _map(_blocks(texts), options.workers, settings):
            counts.update(block.counts)
            counts["held out"] += sum(block.held_out)
            for number, held in enumerate(block.held_out):
                writers[PARTS[held]](block, number)
            if counts["pieces"] >= ENOUGH_PIECES:
                _check_unknown(counts)


def _map(blocks: Iterable[list[str]], workers: int, settings: tuple[Any, ...]) -> Iterator[Block]:
    """Work on the blocks, in order, few of them in memory at a time."""
    if not workers:
        yield from map(Worker(*settings), blocks)
        return
    with pool(workers, _start_worker, settings) as executor:
        yield from _map_ahead(executor, blocks, 3 * workers)


def _map_ahead(executor: Executor, blocks: Iterable[list[str]], ahead: int) -> Iterator[Block]:
    waiting: deque[Future[Block]] = deque()
    for block in blocks:
        waiting.append(executor.submit(_work, block))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


@contextmanager
def _write(folder: Path, taught: bool) -> Iterator[Callable[[Block, int], None]]:
    """Yield a function that appends a document of a block."""
    folder.mkdir()
    ends, lessons = [0], [0]
    with ExitStack() as stack:
        names = ("pieces", "starts", *(["taught"] if taught else []))
        files = [stack.enter_context(open(folder / name, "wb")) for name in names]

        def write(block: Block, number: int) -> None:
            arrays = [getattr(block, name)[number] for name in names]
            for file, array in zip(files, arrays, strict=True):
                file.write(array.tobytes())
            ends.append(ends[-1] + len(arrays[0]))
            lessons.append(lessons[-1] + len(arrays[-1]))

        yield write
    np.save(folder / "documents.npy", np.asarray(ends, dtype=np.int64), allow_pickle=False)
    if taught:
        np.save(folder / "taught.npy", np.asarray(lessons, dtype=np.int64), allow_pickle=False)


def _load(folder: Path) -> Corpus:
    documents = np.load(folder / "documents.npy", allow_pickle=False)
    size = int(documents[-1])
    width = (folder / "pieces").stat().st_size // max(size, 1)
    dtype = np.uint16 if width <= 2 else np.uint32
    if not size:
        return Corpus(np.zeros(0, dtype), np.zeros(0, bool), documents)
    # Plain arrays over the mapped files: a slice of a memmap costs ten times that of an array.
    pieces, starts = (
        np.asarray(np.memmap(folder / name, dtype=kind, mode="r", shape=(size,)))
        for name, kind in (("pieces", dtype), ("starts", np.bool_))
    )
    return Corpus(pieces, starts, documents)


def _check(counts: Counter[str], corpus: Path) -> None:
    if not counts["documents"]:
        raise BertZhError(f"{corpus} has no text to learn from ({counts['read']} rows read)")
    if counts["documents"] == counts["held out"]:
        raise BertZhError(f"All {counts['documents']} texts of {corpus} fell to --held-out")
    _check_unknown(counts)


def _check_unknown(counts: Counter[str]) -> None:
    """Refuse a vocabulary that doesn't fit: the text, or its words of letters and digits.

    Those are looked at by themselves, for a long one is a single unknown piece.
    """
    first = [key.removeprefix("unknown ") for key in ranked(counts) if key.startswith("unknown ")]
    latin = [character for character in first if character.isascii() and character.isalnum()]
    for what, unknown, of, examples in (
        ("text", "unknown", "pieces", first),
        ("words of letters and digits", "latin words unknown", "latin words", latin),
    ):
        share = counts[unknown] / max(counts[of], 1)
        if share > MOST_UNKNOWN:
            raise BertZhError(
                f"The vocabulary turns {share:.1%} of the {what} into [UNK], most often "
                f"{''.join(examples[:10])}: train one on this corpus (leave --vocabulary out), or "
                "make --vocab-size larger"
            )
