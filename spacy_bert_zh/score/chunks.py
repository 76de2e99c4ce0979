"""Chunks of a corpus: cut, numbered, and joined again, the same whoever does it.

Consecutive files are a group, and chunks are numbered within their group, so that groups can be
read side by side. A chunk that is done is a file. The last chunk of each group is empty: where
its file stands after all others, the group is complete.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from spacy_bert_zh.convert.cleaning import fault
from spacy_bert_zh.convert.formats import get_format
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject
from spacy_bert_zh.convert.source import Source
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import whole

GROUP = 64_000_000
"""Bytes of files that close a group."""

CHARACTERS = 4_000_000
"""Characters that close a chunk, however few its rows are."""


@dataclass(frozen=True)
class Item:
    """A row of the input.

    Attributes:
        file: The file it is in, within the source.
        line: Where it starts there.
        text: The text, as it stands there; empty where there is an error.
        error: Why it can't be classified, or nothing.
    """

    file: str
    line: int
    text: str
    error: str = ""


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
        source: File or folder.
        options: How to read it.
        chunk_size: Rows of a chunk, at most.
        parts: Folder of the chunks that are done.
    """

    pipeline: str
    source: Path
    options: Options
    chunk_size: int
    parts: Path


Engine = Callable[[Job, list[Group], int], Iterator[int]]
"""Does all chunks not yet done with a number of workers; yields the rows of each."""


def make_groups(files: Iterable[Path]) -> list[Group]:
    """Put files together, in their order, until they have `GROUP` bytes."""
    groups: list[Group] = []
    members: list[Path] = []
    size = 0
    for file in files:
        members.append(file)
        size += file.stat().st_size
        if size >= GROUP:
            groups.append(Group(len(groups), tuple(members)))
            members, size = [], 0
    return [*groups, Group(len(groups), tuple(members))] if members else groups


def read_group(job: Job, group: Group) -> Iterator[Chunk]:
    """Those chunks of a group that are not done, in order."""
    if is_done(job, group):
        return
    pieces = _cut(_items(job, group), job.chunk_size)
    for path, items in zip(_paths(job, group), chain(pieces, [[]]), strict=False):
        if not path.exists():
            yield Chunk(path, items)


def is_done(job: Job, group: Group) -> bool:
    """Whether all chunks of a group are done."""
    for path in _paths(job, group):
        if not path.exists():
            return False
        if not path.stat().st_size:
            return True
    raise AssertionError


def join(job: Job, groups: list[Group], output: Path) -> int:
    """Write all chunks into one file; the number of its rows."""
    rows = 0
    with whole(output) as whole_file, open(whole_file, "wb") as file:
        for group in groups:
            if not is_done(job, group):
                raise BertZhError(f"{job.parts} is incomplete: run the command again")
            for path in _paths(job, group):
                part = path.read_bytes()
                if not part:
                    break
                file.write(part)
                rows += part.count(b"\n")
    return rows


def _paths(job: Job, group: Group) -> Iterator[Path]:
    """Where the chunks of a group are or will be, without end."""
    for number in count(1):
        yield job.parts / f"{group.number:05}-{number:08}.jsonl"


def _cut(items: Iterator[Item], rows: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += len(item.text)
        if len(chunk) == rows or characters >= CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _items(job: Job, group: Group) -> Iterator[Item]:
    """Every row of a group, those that can't be read among them."""
    read = get_format(job.options.format).read
    for file in group.files:
        name = str(file.relative_to(job.source)) if file != job.source else file.name
        name = os.fsencode(name).decode("utf-8", "replace")  # it need not be UTF-8, the output is
        for row in read(Source(file, job.source, job.options.encoding), job.options):
            if isinstance(row, Reject):
                reason = f"{row.reason} {row.detail}".strip().encode("utf-8", "replace").decode()
                yield Item(name, row.line, "", reason)
            elif error := fault(row.text, None):
                yield Item(name, row.line, "", error)
            else:
                yield Item(name, row.line, row.text)
