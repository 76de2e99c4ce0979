"""The server as a deployment of Ray Serve; see docs/scale.md.

Each replica is what `spacy_bert_zh.serve.server` runs, behind Ray's proxy instead of uvicorn.
"""

import asyncio
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator
from starlette.types import ASGIApp, Receive, Scope, Send

from spacy_bert_zh.cluster import ray_running  # before ray
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.serve.app import make_app
from spacy_bert_zh.serve.server import API_KEY, announce, listen, log_as_json
from spacy_bert_zh.serve.service import Service
from spacy_bert_zh.serve.settings import Limits

from ray import serve  # isort: skip

NAME = "spacy_bert_zh"
ROOM = 64
"""Requests beyond those that a replica answers, which get its 503 and not Ray's."""

log = logging.getLogger(__name__)


class Arguments(BaseModel):
    """What Ray's command line and config files may say.

    Attributes:
        pipelines: As for `spacy_bert_zh.serve.serve`; on a command line, between commas.
        replicas: A number, or MIN-MAX.
        max_batch: Of `Limits`, like the others.
    """

    model_config = ConfigDict(extra="forbid")

    pipelines: list[str]
    replicas: str = "1"
    max_batch: int = Limits.max_batch
    max_wait: float = Limits.max_wait
    max_queue: int = Limits.max_queue
    max_texts: int = Limits.max_texts
    max_length: int = Limits.max_length
    max_explained: int = Limits.max_explained
    deadline: float = Limits.deadline

    @field_validator("pipelines", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("replicas", mode="before")
    @classmethod
    def _write(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


def build(arguments: Arguments) -> serve.Application:
    """Build the application: for ``serve run``, ``serve build`` and ``import_path``."""
    chosen = arguments.model_dump(exclude={"pipelines", "replicas"})
    return make_application(arguments.pipelines, Limits(**chosen), arguments.replicas)


def make_application(
    pipelines: Sequence[str], limits: Limits, replicas: str = "1"
) -> serve.Application:
    """Build the application.

    Raises:
        BertZhError: The number of replicas is none.
    """
    least, most = parse_replicas(replicas)
    ongoing = limits.max_queue + limits.max_batch + ROOM
    options: dict[str, Any] = {"num_replicas": least}
    if least < most:
        # A replica with a full batch to compute is busy.
        options = {
            "autoscaling_config": {
                "min_replicas": least,
                "max_replicas": most,
                "target_ongoing_requests": limits.max_batch,
            }
        }
    ingress = serve.ingress(Door(pipelines, limits))(Replica)
    return serve.deployment(
        name=NAME,
        max_ongoing_requests=ongoing,
        max_queued_requests=ongoing,
        graceful_shutdown_timeout_s=limits.max_read + limits.deadline + 10,
        health_check_period_s=5,
        ray_actor_options={"num_cpus": 1},
        logging_config={"enable_access_log": False},
        **options,
    )(ingress).bind()


def parse_replicas(text: str) -> tuple[int, int]:
    """The least and the greatest number that ``N`` or ``MIN-MAX`` says."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < least <= most:
        raise BertZhError(f"--replicas {text}: give a number such as 2, or a range such as 1-4")
    return least, most


class Door:
    """The ASGI application of a replica. Its lifespan is that of the service.

    Args:
        pipelines: As for `spacy_bert_zh.serve.serve`.
        limits: What is accepted.
    """

    def __init__(self, pipelines: Sequence[str], limits: Limits) -> None:
        self.pipelines = pipelines
        self.limits = limits
        self._app: ASGIApp | None = None
        self._work: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or live."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and self._app:
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    def check(self) -> None:
        """Raise if nothing computes any more."""
        if self._work and self._work.done():
            self._work.result()
            raise RuntimeError("the service has ended")

    async def _live(self, receive: Receive, send: Send) -> None:
        log_as_json()
        await receive()
        try:
            await self._start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        assert self._work
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        service = Service(self.pipelines, self.limits)
        self._work = asyncio.create_task(service.run())
        while not service.ready:
            await asyncio.wait([self._work], timeout=0.05)
            self.check()
        # From the environment of this process: no secret is in Ray's hands.
        self._app = make_app(service, os.fsencode(os.environ.get(API_KEY, "")))


class Replica:
    """What Ray Serve asks about a replica."""

    app: Door  # Ray's

    def check_health(self) -> None:
        """Raise if the replica should be replaced."""
        self.app.check()


def run(pipelines: Sequence[str], host: str, port: int, limits: Limits, replicas: str) -> None:
    """Serve until a signal; see `spacy_bert_zh.serve.serve_on_ray`."""
    log_as_json()
    application = make_application(pipelines, limits, replicas)
    with listen(host, port) as free:
        host, port = free.getsockname()[:2]
    with ray_running(parse_replicas(replicas)[1]):
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        stopped = threading.Event()
        _on_signals(lambda *_: sys.exit(0))  # while it waits for room on the cluster
        serve.start(http_options={"host": host, "port": port})
        try:
            _deploy(application)
            _on_signals(lambda *_: stopped.set())
            announce("ready", host, port)
            stopped.wait()
            log.info({"event": "stopping"})
        finally:
            serve.delete(NAME)  # what was accepted is answered first
            if not serve.status().applications:
                serve.shutdown()


def _on_signals(handler: Callable[..., object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _deploy(application: serve.Application) -> None:
    try:
        serve.run(application, name=NAME)
    except RuntimeError as error:
        raise BertZhError(f"Ray Serve: {error}") from error
