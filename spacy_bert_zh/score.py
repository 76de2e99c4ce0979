"""A corpus of any size through a trained pipeline: one row of JSON out for each row in."""

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from spacy.language import Language
from tqdm import tqdm

from spacy_bert_zh.answers import Answer, answer_all
from spacy_bert_zh.convert.cleaning import fault
from spacy_bert_zh.convert.formats import get_format
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject
from spacy_bert_zh.convert.source import Source
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import remove, whole
from spacy_bert_zh.loading import find_textcat, load_pipeline

FAILED = "the pipeline fails on this text"


@dataclass(frozen=True)
class Item:
    """A row of the input.

    Attributes:
        file: The file it is in, within the source.
        line: Where it starts there.
        text: The text, as it stands there.
        error: Why it can't be classified, or nothing.
    """

    file: str
    line: int
    text: str
    error: str = ""


def score(
    pipeline: str,
    source: Path,
    output: Path,
    options: Options,
    *,
    workers: int = 1,
    chunk_size: int = 5_000,
    restart: bool = False,
) -> int:
    """Classify every row of a corpus.

    Rows that can't be read or classified keep their place, with an ``error`` instead of
    ``label`` and ``scores``. Chunks that are done stand in a folder beside the output until all
    are: a run that was killed goes on with the others.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        source: File or folder.
        output: The file of JSON lines to make or replace.
        options: How to read it; of `convert`'s options those of reading count.
        workers: Processes, each with a pipeline of its own.
        chunk_size: Rows of a chunk.
        restart: Don't go on with a run that was cut off.

    Returns:
        How many rows there were.

    Raises:
        BertZhError: Bad input, or chunks of a run with other input or options.
    """
    if output.resolve() in (source.resolve(), *source.resolve().parents) or output.is_dir():
        raise BertZhError(f"{output} is a folder or the source itself: name another file")
    parts = output.with_name(f"{output.name}.parts")
    if restart:
        remove(parts)
    _claim(parts, _fingerprint(pipeline, source, options, chunk_size))
    count = 0

    def todo() -> Iterator[tuple[Path, list[Item]]]:
        nonlocal count
        for count, chunk in enumerate(_chunks(_items(source, options), chunk_size), 1):
            path = _path(parts, count)
            if not path.exists():
                yield path, chunk

    _run(todo(), pipeline, workers)
    rows = _join([_path(parts, number) for number in range(1, count + 1)], output)
    remove(parts)
    return rows


def _claim(parts: Path, fingerprint: str) -> None:
    """Make the folder of the chunks, or make sure that it is of the same run."""
    stated = parts / "run"
    if not stated.exists():
        with whole(stated) as path:
            path.write_text(fingerprint, "utf-8")
    if stated.read_text("utf-8") != fingerprint:
        raise BertZhError(
            f"{parts} is of a run with another pipeline, input or option: give the same again, "
            "or --restart"
        )


def _fingerprint(pipeline: str, source: Path, options: Options, chunk_size: int) -> str:
    files = list(get_format(options.format).files(source))
    if not files:
        raise BertZhError(f"No file of the format {options.format} in {source}")
    files += sorted(Path(pipeline).rglob("*")) if Path(pipeline).is_dir() else []
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    described = repr((pipeline, stats, options, chunk_size))
    return hashlib.blake2b(described.encode(), digest_size=16).hexdigest()


def _path(parts: Path, number: int) -> Path:
    return parts / f"{number:08}.jsonl"


def _items(source: Path, options: Options) -> Iterator[Item]:
    """Every row of the source, in order, those that can't be read among them."""
    form = get_format(options.format)
    for file in form.files(source):
        name = str(file.relative_to(source)) if source.is_dir() else file.name
        for row in form.read(Source(file, source, options.encoding), options):
            if isinstance(row, Reject):
                yield Item(name, row.line, "", f"{row.reason} {row.detail}".strip())
            else:
                yield Item(name, row.line, row.text, fault(row.text, None) or "")


def _chunks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _run(todo: Iterator[tuple[Path, list[Item]]], pipeline: str, workers: int) -> None:
    """Do chunks, here or in processes, without having more in memory than are worked on."""
    bar = tqdm(desc="score", unit=" texts", disable=None)
    if workers == 1:
        nlp = _load(pipeline)
        for path, chunk in todo:
            bar.update(_write(nlp, path, chunk))
        return
    # Spawned: what is forked inherits threads that don't exist there.
    context = multiprocessing.get_context("spawn")
    running: set[Future[int]] = set()
    try:
        with ProcessPoolExecutor(workers, context, _start, (pipeline,)) as pool:
            for path, chunk in todo:
                running.add(pool.submit(_work, path, chunk))
                if len(running) > 2 * workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    bar.update(sum(future.result() for future in done))
            bar.update(sum(future.result() for future in running))
    except BrokenProcessPool as error:
        raise BertZhError(
            "A worker was killed, perhaps for want of memory: the chunks that are done are kept; "
            "run the command again, with fewer --workers"
        ) from error


def _load(pipeline: str) -> Language:
    nlp = load_pipeline(pipeline)
    find_textcat(nlp, None)
    return nlp


def _start(pipeline: str) -> None:
    global _nlp
    _nlp = _load(pipeline)


def _work(path: Path, chunk: list[Item]) -> int:
    return _write(_nlp, path, chunk)


_nlp: Language  # of a worker


def _write(nlp: Language, path: Path, chunk: list[Item]) -> int:
    """Classify a chunk and write its rows."""
    answers = iter(answer_all(nlp, [item.text for item in chunk if not item.error]))
    with whole(path) as part, open(part, "w", encoding="utf-8") as file:
        for item in chunk:
            row = {"file": item.file, "line": item.line}
            found = _told(None if item.error else next(answers), item.error or FAILED)
            file.write(json.dumps({**row, **found}, ensure_ascii=False) + "\n")
    return len(chunk)


def _told(answer: Answer | None, error: str) -> dict[str, object]:
    if answer is None:
        return {"error": error}
    label = max(answer.scores, key=answer.scores.__getitem__)
    return {"label": label, "scores": {k: round(v, 6) for k, v in answer.scores.items()}}


def _join(paths: list[Path], output: Path) -> int:
    """All chunks as one file; the number of its rows."""
    rows = 0
    with whole(output) as part, open(part, "wb") as file:
        for path in paths:
            with open(path, "rb") as chunk:
                shutil.copyfileobj(chunk, file)
            rows += path.read_bytes().count(b"\n")
    return rows
