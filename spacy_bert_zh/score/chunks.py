"""Chunks of a corpus: cut and numbered, the same whoever does it.

Consecutive files are a group, and chunks are numbered within their group, so that groups can be
read side by side. A chunk that is done is a file. The last chunk of each group is empty: where
its file stands after all others, the group is complete.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import Options, size
from spacy_bert_zh.score.items import Item, read_items

GROUP = 64_000_000
"""Bytes of files that close a group."""

CHARACTERS = 4_000_000
"""Characters that close a chunk, however few its rows are."""


@dataclass(frozen=True)
class Group:
    """Files that are read one after the other.

    Attributes:
        number: Its place among the groups.
        files: One or more.
    """

    number: int
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Chunk:
    """Rows that are classified and written together.

    Attributes:
        path: The file for what the pipeline says about them.
        items: The rows; none says that the group has no more.
    """

    path: Path
    items: list[Item]


@dataclass(frozen=True)
class Job:
    """What a worker must know, wherever it is.

    Attributes:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        source: File or folder, or standard input.
        options: How to read it.
        chunk_size: Rows of a chunk, at most.
        parts: Folder of the chunks that are done.
        component: Of several text classifiers the one that is asked.
        threshold: The score from which on labels are given that don't exclude each other; None
            takes the pipeline's.
        text: Whether a row has its text.
    """

    pipeline: str
    source: Path
    options: Options
    chunk_size: int
    parts: Path
    component: str | None = None
    threshold: float | None = None
    text: bool = False


Engine = Callable[[Job, list[Group], int], Iterator[int]]
"""Does all chunks not yet done with a number of workers; yields the rows of each."""


def make_groups(files: Iterable[Path]) -> list[Group]:
    """Put files together, in their order, until they have `GROUP` bytes."""
    groups: list[Group] = []
    members: list[Path] = []
    taken = 0
    for file in files:
        members.append(file)
        taken += size(file)
        if taken >= GROUP:
            groups.append(Group(len(groups), tuple(members)))
            members, taken = [], 0
    return [*groups, Group(len(groups), tuple(members))] if members else groups


def read_group(job: Job, group: Group) -> Iterator[Chunk]:
    """Those chunks of a group that are not done, in order."""
    if is_done(job, group):
        return
    items = read_items(group.files, job.source, job.options, job.text)
    pieces = _cut(items, job.chunk_size)
    for path, part in zip(_paths(job, group), chain(pieces, [[]]), strict=False):
        if not path.exists():
            yield Chunk(path, part)


def is_done(job: Job, group: Group) -> bool:
    """Whether all chunks of a group are done."""
    for path in _paths(job, group):
        if not path.exists():
            return False
        if not path.stat().st_size:
            return True
    raise AssertionError


def read_lines(job: Job, groups: list[Group]) -> Iterator[bytes]:
    """All rows that were written, in order, each a line of JSON.

    Raises:
        BertZhError: Some are missing.
    """
    for group in groups:
        if not is_done(job, group):
            raise BertZhError(f"{job.parts} is incomplete: run the command again")
        for path in _paths(job, group):
            with open(path, "rb") as file:
                if not (first := file.readline()):
                    break
                yield first
                yield from file


def _paths(job: Job, group: Group) -> Iterator[Path]:
    """Where the chunks of a group are or will be, without end."""
    for number in count(1):
        yield job.parts / f"{group.number:05}-{number:08}.jsonl"


def _cut(items: Iterator[Item], rows: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += len(item.text) + len(item.columns)
        if len(chunk) == rows or characters >= CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
