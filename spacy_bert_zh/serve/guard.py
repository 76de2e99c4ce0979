"""What happens to a request before it is answered: logged, counted, let in or refused."""

import asyncio
import hmac
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spacy_bert_zh.serve.metrics import Metrics
from spacy_bert_zh.serve.rate import Rate
from spacy_bert_zh.serve.service import Service

log = logging.getLogger(__name__)

RETRY = {"Retry-After": "1"}
_CLOSE = {"Connection": "close"}  # the rest of the body is not read
_GONE = 499  # nginx's number for a client that didn't wait
_LOGGED = 200  # characters of a path


def reply(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON error; escaped, since a detail may hold what UTF-8 can't encode."""
    return Response(json.dumps({"detail": detail}), status, headers, "application/json")


class Record:
    """Log each request, count the guarded ones, and answer where the application fails."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; there are no websockets."""
        if scope["type"] == "http":
            await self._pass(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, status = time.perf_counter(), _GONE
        scope["state"] = {}

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, note)
        except Exception:
            log.error({"event": "internal error"}, exc_info=True)
            if status == _GONE:
                await reply(500, "internal error")(scope, receive, note)
        finally:
            self._write(scope, status, time.perf_counter() - start)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        if state.get("guarded"):
            self.metrics.requests.labels(status).inc()
            self.metrics.request_seconds.labels(status).observe(seconds)
            self.metrics.texts.inc(state.get("texts", 0))
        log.info(
            {
                "method": scope["method"],
                "path": scope["path"][:_LOGGED],
                "status": status,
                "texts": state.get("texts", 0),
                "ms": round(1000 * seconds, 1),
            }
        )


class Guard:
    """Lets only those requests through that may and can be answered.

    Their bodies are read here, within limits of size and time. A body is nowhere else to be had:
    what didn't pass the guard has nothing to classify.
    """

    def __init__(self, service: Service, api_key: bytes) -> None:
        self.service = service
        self.api_key = api_key
        self._rate = Rate(service.limits.max_per_minute)

    @asynccontextmanager
    async def admitting(self, scope: Scope, receive: Receive) -> AsyncIterator[None]:
        """Put the body into the request's state, and count the request while it is answered.

        Raises:
            HTTPException: It is refused.
        """
        state = scope["state"]
        state["guarded"] = True
        self.service.active += 1
        try:
            self._slow_down(scope)
            self._admit(Headers(scope=scope))
            state["body"] = await self._read(receive)
            yield
        finally:
            self.service.active -= 1

    def _slow_down(self, scope: Scope) -> None:
        address = (scope.get("client") or ("",))[0]
        if seconds := self._rate.wait(address):
            detail = f"more than {self.service.limits.max_per_minute} requests in a minute"
            raise HTTPException(429, detail, {"Retry-After": str(math.ceil(seconds)), **_CLOSE})

    def _admit(self, headers: Headers) -> None:
        limits = self.service.limits
        if self.api_key and not _has_key(headers, self.api_key):
            detail = "give the API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer", **_CLOSE})
        if not self.service.ready:
            detail = "stopping" if self.service.stopping else "loading"
            raise HTTPException(503, detail, {**RETRY, **_CLOSE})
        if self.service.active > limits.max_queue + limits.max_batch:
            raise HTTPException(503, "too many requests at once", {**RETRY, **_CLOSE})

    async def _read(self, receive: Receive) -> bytes:
        limits = self.service.limits
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(limits.max_read):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise HTTPException(_GONE, "the client has gone")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limits.max_body:
                        detail = f"the body has more than {limits.max_body} bytes"
                        raise HTTPException(413, detail, _CLOSE)
        except TimeoutError:
            detail = f"the body took longer than {limits.max_read:g} s"
            raise HTTPException(408, detail, _CLOSE) from None
        return bytes(body)


def _has_key(headers: Headers, key: bytes) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = [headers.get("x-api-key", ""), token if scheme.lower() == "bearer" else ""]
    # Headers are decoded as Latin-1, so this gives back the bytes that were sent.
    return any(hmac.compare_digest(text.strip().encode("latin-1"), key) for text in given)
