"""The engine for one machine: this process, or a pool of them."""

import functools
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import pool
from spacy_bert_zh.score.chunks import Chunk, Group, Job, read_group
from spacy_bert_zh.score.work import load, write


def run(job: Job, groups: list[Group], workers: int) -> Iterator[int]:
    """Do all chunks that are not done; an `Engine`."""
    todo = (chunk for group in groups for chunk in read_group(job, group))
    if workers == 1:
        nlp = load(job)
        for chunk in todo:
            yield write(nlp, job, chunk)
        return
    try:
        yield from _share_out(todo, job, workers)
    except BrokenProcessPool as error:
        raise BertZhError(
            "A worker was killed, perhaps for want of memory: the chunks that are done are kept; "
            "run the command again, with fewer --workers"
        ) from error


def _share_out(todo: Iterator[Chunk], job: Job, workers: int) -> Iterator[int]:
    """Let processes do chunks, without having more in memory than are worked on."""
    running: set[Future[int]] = set()
    with pool(workers, _start, (job,)) as executor:
        for chunk in todo:
            running.add(executor.submit(_work, chunk))
            if len(running) > 2 * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield sum(future.result() for future in done)
        yield sum(future.result() for future in running)


def _start(job: Job) -> None:
    global _job
    _job = job


def _work(chunk: Chunk) -> int:
    return write(_load_once(_job), _job, chunk)


_job: Job  # of a worker
# Not at its start: what fails there reaches nobody.
_load_once = functools.cache(load)
