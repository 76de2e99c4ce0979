"""Texts of all requests, gathered into batches: one computation at a time per pipeline, or folder.

Texts to classify go in batches; between two of those at most one explanation is computed, so that
classifications never wait for several.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import Answer, answer_all
from spacy_bert_zh.serve.metrics import Metrics
from spacy_bert_zh.serve.settings import Limits

log = logging.getLogger(__name__)


class QueueFull(Exception):
    """The queue has no room for all texts of a request."""


class Unanswerable(Exception):
    """The pipeline fails on some texts of a request, also when they are alone.

    Attributes:
        places: Their places in the request.
    """

    def __init__(self, places: list[int]) -> None:
        super().__init__(places)
        self.places = places


Asked = TypeVar("Asked")
Said = TypeVar("Said")
Finish = Callable[[Answer], bytes]
Work = Callable[[Language], bytes]


@dataclass(eq=False)
class _Job:
    text: str
    finish: Callable[[Any], bytes]
    arrived: float
    answer: asyncio.Future[bytes | None]


@dataclass(eq=False)
class _Single:
    work: Callable[[Any], bytes]
    answer: asyncio.Future[bytes]


class Gatherer(ABC, Generic[Asked, Said]):
    """What answers, and the texts that wait for it.

    Args:
        nlp: What answers; may be replaced at any time, which holds from the next batch.
        name: Its name in the metrics.
        limits: Of the queue, a batch and a request.
        metrics: Where batches are counted.
    """

    def __init__(self, nlp: Asked, name: str, limits: Limits, metrics: Metrics) -> None:
        self.nlp = nlp
        self._limits = limits
        self._queue: deque[_Job] = deque()
        self._singles: deque[_Single] = deque()
        self._added = asyncio.Event()
        self._sizes = metrics.batch_texts.labels(name)
        self._seconds = metrics.batch_seconds.labels(name)
        self._single_seconds = metrics.explain_seconds.labels(name)
        waiting = metrics.queue_texts.labels(name)
        waiting.set_function(lambda: len(self._queue) + len(self._singles))

    @abstractmethod
    def answer_all(self, texts: Sequence[str]) -> list[Said | None]:
        """Answer texts, in the thread that computes; None where that fails, and nothing raised."""

    async def gather(self, texts: Sequence[str], finish: Callable[[Said], bytes]) -> list[bytes]:
        """Queue the texts of one request, all or none, and wait for their answers.

        Once this is cancelled, texts not yet computed have left the queue.

        Args:
            texts: The texts.
            finish: Makes of an answer what is kept of it. It runs in the thread that computes,
                so that nothing waits for answers with many labels, nor are they kept.

        Raises:
            QueueFull: There is no room.
            Unanswerable: The pipeline fails on some of them.
        """
        if len(self._queue) + len(texts) > self._limits.max_queue:
            raise QueueFull
        loop = asyncio.get_running_loop()
        jobs = [_Job(text, finish, loop.time(), loop.create_future()) for text in texts]
        self._queue.extend(jobs)
        self._added.set()
        try:
            answers = [await job.answer for job in jobs]
        finally:
            self._drop(jobs)
        if places := [place for place, answer in enumerate(answers) if answer is None]:
            raise Unanswerable(places)
        return [answer for answer in answers if answer is not None]

    async def alone(self, work: Callable[[Asked], bytes]) -> bytes:
        """Queue what is computed by itself, such as an explanation, and wait for it.

        Args:
            work: Is given what answers, in the thread that computes.

        Raises:
            QueueFull: As many wait as a batch may have texts.
            BertZhError: What `work` raises, if it is one.
            Unanswerable: It raises anything else.
        """
        if len(self._singles) >= self._limits.max_batch:
            raise QueueFull
        job = _Single(work, asyncio.get_running_loop().create_future())
        self._singles.append(job)
        self._added.set()
        try:
            return await job.answer
        finally:
            if job in self._singles:
                self._singles.remove(job)

    async def run(self) -> None:
        """Compute batch after batch, forever."""
        while True:
            if batch := await self._gather():
                self._sizes.observe(len(batch))
                with self._seconds.time():
                    answers = await asyncio.to_thread(self._compute, batch)
                for job, answer in zip(batch, answers, strict=True):
                    if not job.answer.done():
                        job.answer.set_result(answer)
            if self._singles:
                with self._single_seconds.time():
                    await self._answer(self._singles.popleft())

    async def _answer(self, job: _Single) -> None:
        try:
            found = await asyncio.to_thread(job.work, self.nlp)
        except Exception as error:
            if not isinstance(error, BertZhError):
                log.warning({"event": "explanation failed"}, exc_info=True)
                error = Unanswerable([0])
            if not job.answer.done():
                job.answer.set_exception(error)
        else:
            if not job.answer.done():
                job.answer.set_result(found)

    def _compute(self, batch: list[_Job]) -> list[bytes | None]:
        answers = self.answer_all([job.text for job in batch])
        pairs = zip(batch, answers, strict=True)
        return [None if answer is None else job.finish(answer) for job, answer in pairs]

    async def _gather(self) -> list[_Job]:
        """The oldest texts, once they fill a batch or the first has waited long enough.

        None where only other work waits.
        """
        while not self._queue and not self._singles:
            await self._more()
        if not self._queue:
            return []
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._queue[0].arrived + self._limits.max_wait):
                while len(self._queue) < self._limits.max_batch:
                    await self._more()
        count = min(len(self._queue), self._limits.max_batch)
        return [self._queue.popleft() for _ in range(count)]

    async def _more(self) -> None:
        self._added.clear()
        await self._added.wait()

    def _drop(self, jobs: list[_Job]) -> None:
        """Forget what of a request is not yet answered."""
        for job in jobs:
            job.answer.cancel()
        if any(job.answer.cancelled() for job in jobs):
            self._queue = deque(job for job in self._queue if not job.answer.cancelled())


class Batcher(Gatherer[Language, Answer]):
    """One pipeline and the texts that wait for it; see `Gatherer`."""

    def __init__(self, nlp: Language, name: str, limits: Limits, metrics: Metrics) -> None:
        super().__init__(nlp, name, limits, metrics)
        self._repaired = metrics.repaired_texts.labels(name)

    async def classify(self, texts: Sequence[str], finish: Finish) -> list[bytes]:
        """Classify the texts of one request; see `gather`."""
        return await self.gather(texts, finish)

    def answer_all(self, texts: Sequence[str]) -> list[Answer | None]:
        """What the pipeline says of each text."""
        answers = answer_all(self.nlp, texts)
        self._repaired.inc(sum(bool(answer and answer.repaired) for answer in answers))
        return answers
