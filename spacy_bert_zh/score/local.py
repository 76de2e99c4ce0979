"""The engine for one machine: this process, or a pool of them."""

import functools
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.score.chunks import Chunk, Group, Job, read_group
from spacy_bert_zh.score.work import load, write


def run(job: Job, groups: list[Group], workers: int) -> Iterator[int]:
    """Do all chunks that are not done; an `Engine`."""
    todo = (chunk for group in groups for chunk in read_group(job, group))
    if workers == 1:
        nlp = load(job.pipeline)
        for chunk in todo:
            yield write(nlp, chunk)
        return
    try:
        yield from _share_out(todo, job.pipeline, workers)
    except BrokenProcessPool as error:
        raise BertZhError(
            "A worker was killed, perhaps for want of memory: the chunks that are done are kept; "
            "run the command again, with fewer --workers"
        ) from error


def _share_out(todo: Iterator[Chunk], pipeline: str, workers: int) -> Iterator[int]:
    """Let processes do chunks, without having more in memory than are worked on."""
    # Spawned: what is forked inherits threads that don't exist there.
    context = multiprocessing.get_context("spawn")
    running: set[Future[int]] = set()
    with ProcessPoolExecutor(workers, context, _start, (pipeline,)) as pool:
        for chunk in todo:
            running.add(pool.submit(_work, chunk))
            if len(running) > 2 * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield sum(future.result() for future in done)
        yield sum(future.result() for future in running)


def _start(pipeline: str) -> None:
    global _pipeline
    _pipeline = pipeline


def _work(chunk: Chunk) -> int:
    return write(_load_once(_pipeline), chunk)


_pipeline: str  # of a worker
# Not at its start: what fails there reaches nobody.
_load_once = functools.cache(load)
