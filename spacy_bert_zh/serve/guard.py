"""What happens to a request before it reaches the application: ASGI middleware."""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spacy_bert_zh.serve.metrics import Metrics
from spacy_bert_zh.serve.service import Service

log = logging.getLogger(__name__)

GUARDED = "/classify"
RETRY = {"Retry-After": "1"}
_CLOSE = {"Connection": "close"}  # the rest of the body is not read
_GONE = 499  # nginx's number for a client that didn't wait


def reply(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON error; escaped, since a detail may hold what UTF-8 can't encode."""
    return Response(json.dumps({"detail": detail}), status, headers, "application/json")


class Record:
    """Log and count each request, and answer it where the application fails."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        start, status = time.perf_counter(), _GONE

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
        texts = scope["state"].get("texts", 0)
        if scope["path"] == GUARDED:
            self.metrics.requests.labels(status).inc()
            self.metrics.texts.inc(texts)
        log.info(
            {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "texts": texts,
                "ms": round(1000 * seconds, 1),
            }
        )


class Guard:
    """Let only those requests for a classification through that may and can be answered.

    Their bodies are read here, within limits of size and time.
    """

    def __init__(self, app: ASGIApp, service: Service, api_key: bytes) -> None:
        self.app = app
        self.service = service
        self.api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["path"] != GUARDED:
            await self.app(scope, receive, send)
            return
        self.service.active += 1
        try:
            try:
                self._admit(Headers(scope=scope))
                body = await self._read(receive)
            except HTTPException as no:
                await reply(no.status_code, no.detail, no.headers)(scope, receive, send)
            else:
                await self.app(scope, _replay(body, receive), send)
        finally:
            self.service.active -= 1

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


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_again() -> Message:
        return next(messages, None) or await receive()

    return receive_again
