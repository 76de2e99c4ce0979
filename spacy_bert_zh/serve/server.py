"""The process: its socket, its signals and its log."""

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.serve.app import make_app
from spacy_bert_zh.serve.protocol import make_protocol
from spacy_bert_zh.serve.service import Service
from spacy_bert_zh.serve.settings import Limits

API_KEY = "SPACY_BERT_ZH_API_KEY"

SETTINGS: dict[str, Any] = {
    "ws": "none",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": 5,
    "timeout_graceful_shutdown": 5,
}
"""Of uvicorn."""

log = logging.getLogger(__name__)


def run(
    pipelines: Sequence[str],
    host: str,
    port: int,
    limits: Limits,
    make: Callable[[Service, bytes], FastAPI] = make_app,
) -> None:
    """Serve until a signal; see `spacy_bert_zh.serve.serve`. `make` builds the application."""
    log_as_json()
    # A batch's thread would else keep the requests waiting for up to 5 ms each time.
    sys.setswitchinterval(0.0005)
    asyncio.run(_run(Service(pipelines, limits), listen(host, port), make))


async def _run(
    service: Service, listener: socket.socket, make: Callable[[Service, bytes], FastAPI]
) -> None:
    app = make(service, os.fsencode(os.environ.get(API_KEY, "")))
    config = uvicorn.Config(app, http=make_protocol(service.limits.max_read), **SETTINGS)
    server = Server(config, service)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Complaints())
    loop.add_signal_handler(signal.SIGHUP, service.reload.set)
    work = asyncio.create_task(service.run())
    work.add_done_callback(lambda _: server.end())
    announce("listening", *listener.getsockname()[:2])
    await server.serve(sockets=[listener])
    if work.done():
        work.result()  # raises what it failed with


class Server(uvicorn.Server):
    """uvicorn, but on a signal it first answers what it has accepted, then exits with 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn for SIGTERM and SIGINT."""
        self.service.stop()

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second: whether to end."""
        return await super().on_tick(counter) or self.service.drained

    def end(self) -> None:
        """Don't go on without a service."""
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Open a socket.

    Raises:
        BertZhError: The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise BertZhError(f"Can't listen at {host}, port {port}: {error}") from error
    # Connections inherit it. Without it, the second packet of an answer waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def announce(event: str, host: str, port: int) -> None:
    """Write the address: into the log, and for people to standard output."""
    log.info({"event": event, "host": host, "port": port})
    # Nobody can visit the address that stands for all of a machine's.
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    print(f"http://{name}:{port}", flush=True)


class Complaints:
    """What the event loop complains of, in the log; the same only once in a while.

    Without file descriptors, it complains thousands of times a second.
    """

    EVERY = 10.0
    """Seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Called by the loop."""
        error = context.get("exception")
        full = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
        event = "no free file descriptors" if full else str(context.get("message"))
        if loop.time() < self._last.get(event, -self.EVERY) + self.EVERY:
            return
        self._last[event] = loop.time()
        if full:
            advice = "connections wait until others end; 'ulimit -n' allows more"
            log.error({"event": event, "advice": advice})
        else:
            log.error({"event": event}, exc_info=error)


class JsonLines(logging.Formatter):
    """A line of JSON for each record. Of exceptions it tells all but the message.

    A message may quote a text, and texts don't belong into a log.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {"time": datetime.fromtimestamp(record.created, UTC).isoformat("T", "milliseconds")}
        line["level"] = record.levelname.lower()
        if isinstance(record.msg, dict):
            line |= record.msg
        else:
            line["event"] = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["where"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line)


def log_as_json() -> None:
    """Write all logs to stderr as JSON: ours from `info` on, those of others from `warning` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("spacy_bert_zh.serve").setLevel(logging.INFO)
