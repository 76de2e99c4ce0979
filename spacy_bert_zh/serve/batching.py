"""Texts of all requests, gathered into batches: one queue and one batch at a time per pipeline."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from spacy.language import Language

from spacy_bert_zh.loading import Answer, answer_all
from spacy_bert_zh.serve.metrics import Metrics
from spacy_bert_zh.serve.settings import Limits


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


Finish = Callable[[Answer], bytes]


@dataclass(eq=False)
class _Job:
    text: str
    finish: Finish
    arrived: float
    answer: asyncio.Future[bytes | None]


class Batcher:
    """One pipeline and the texts that wait for it.

    Args:
        nlp: The pipeline; may be replaced at any time, which holds from the next batch.
        name: Its name in the metrics.
        limits: Of the queue, a batch and a request.
        metrics: Where batches are counted.
    """

    def __init__(self, nlp: Language, name: str, limits: Limits, metrics: Metrics) -> None:
        self.nlp = nlp
        self._limits = limits
        self._queue: deque[_Job] = deque()
        self._added = asyncio.Event()
        self._sizes = metrics.batch_texts.labels(name)
        self._seconds = metrics.batch_seconds.labels(name)
        metrics.queue_texts.labels(name).set_function(lambda: len(self._queue))

    async def classify(self, texts: Sequence[str], finish: Finish) -> list[bytes]:
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

    def _compute(self, batch: list[_Job]) -> list[bytes | None]:
        answers = answer_all(self.nlp, [job.text for job in batch])
        pairs = zip(batch, answers, strict=True)
        return [None if answer is None else job.finish(answer) for job, answer in pairs]

    async def _gather(self) -> list[_Job]:
        """The oldest texts, once they fill a batch or the first has waited long enough."""
        while not self._queue:
            await self._more()
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
