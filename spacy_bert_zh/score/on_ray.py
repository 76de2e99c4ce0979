"""The engine for a cluster: Ray Data, with a pool of actors."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset
from ray.exceptions import RayError
from spacy.language import Language

from spacy_bert_zh.cluster import mendable, ray_running
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.score.chunks import Chunk, Group, Job, read_group
from spacy_bert_zh.score.items import Item
from spacy_bert_zh.score.work import load, write

TRIES = 3
"""How many workers a chunk may cost; Ray alone would start new ones for ever."""

WORKERS_A_READER = 8

# Between processes; paths are bytes, for they need not be text.
_ITEM = pa.struct(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("text", pa.string()),
        ("columns", pa.string()),
        ("error", pa.string()),
    ]
)
_CHUNKS = pa.schema([("path", pa.binary()), ("items", pa.list_(_ITEM))])


def run(job: Job, groups: list[Group], workers: int) -> Iterator[int]:
    """Do all chunks that are not done; an `Engine`."""
    for trace in job.parts.glob("*.tries"):
        trace.unlink()
    with ray_running(workers + 1):  # one of them reads
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        try:
            for row in _plan(job, groups, workers).iter_rows():
                yield row["rows"]
        except (RayError, BertZhError) as error:
            raise mendable(error) or error from None


def _plan(job: Job, groups: list[Group], workers: int) -> Dataset:
    """Groups → chunks → numbers of rows."""
    rows = [
        {"number": group.number, "files": [os.fsencode(file) for file in group.files]}
        for group in groups
    ]
    found = ray.data.from_items(rows, override_num_blocks=len(rows))
    found.context.enable_progress_bars = False
    # Each chunk is a block of its own: it goes to a worker as soon as it is read, and no more of
    # them wait than Ray's object store has room for.
    found.context.target_max_block_size = 1
    found.context.raise_original_map_exception = True
    read: Any = _read  # Ray's annotations know no further arguments
    chunks = found.map_batches(
        read,
        batch_size=1,
        batch_format="pyarrow",
        fn_args=(job,),
        concurrency=min(1 + workers // WORKERS_A_READER, len(groups)),
        num_cpus=0.5,  # not as a worker has: Ray would make one step of both
    )
    return chunks.map_batches(
        Worker,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_args=(job,),
        compute=ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
    )


def _read(batch: pa.Table, job: Job) -> Iterator[pa.Table]:
    for row in batch.to_pylist():
        group = Group(row["number"], tuple(Path(os.fsdecode(file)) for file in row["files"]))
        for chunk in read_group(job, group):
            packed = {"path": os.fsencode(chunk.path), "items": [vars(i) for i in chunk.items]}
            yield pa.Table.from_pylist([packed], _CHUNKS)


def _unpacked(row: dict[str, Any]) -> Chunk:
    items = [Item(**item) for item in row["items"]]
    return Chunk(Path(os.fsdecode(row["path"])), items)


class Worker:
    """An actor with a pipeline of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.nlp: Language | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Do chunks; how many rows each has."""
        return pa.table({"rows": [self._do(_unpacked(row)) for row in batch.to_pylist()]})

    def _do(self, chunk: Chunk) -> int:
        with tried(chunk):
            # Not when it is made: Ray tries again, for ever, to make an actor that fails then.
            self.nlp = self.nlp or load(self.job)
            return write(self.nlp, self.job, chunk)


@contextmanager
def tried(chunk: Chunk) -> Iterator[None]:
    """Leave a trace of each try that isn't lived through."""
    tries = chunk.path.with_suffix(".tries")
    with open(tries, "ab") as file:
        file.write(b".")
    if tries.stat().st_size > TRIES:
        where = "".join(f", at {item.file}, line {item.line} on" for item in chunk.items[:1])
        raise BertZhError(
            f"{TRIES} workers were killed{where}, perhaps for want of memory: the chunks that are "
            "done are kept; run the command again, with fewer --workers"
        )
    yield
    tries.unlink()
