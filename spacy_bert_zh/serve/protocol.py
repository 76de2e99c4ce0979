"""uvicorn's HTTP, with the limits that it lacks: on headers, and on clients that don't read."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADERS = 32_768
"""Bytes that a request's line and headers may take."""
_STEP = 1024


def make_protocol(max_read: float) -> type[HttpToolsProtocol]:
    """The class of a server's connections.

    Args:
        max_read: Seconds for a request's headers to arrive, and for a client to read on where
            its answer doesn't fit into the buffers.
    """

    class Protocol(HttpToolsProtocol):
        """A connection; closed when it takes too long."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._timers: dict[str, asyncio.TimerHandle] = {}
            self._begin_headers()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._begin_headers()

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._place == "headers":  # else a trailer, which nobody reads or counts
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._place = "body"
            self._stop("headers")
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._place = "between"
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._place == "body" and self.cycle.response_complete:
                self.transport.close()  # the rest of what was answered early is not waited for

        def data_received(self, data: bytes) -> None:
            # The parser doesn't tell where in the data headers end: so it is given little at once.
            for start in range(0, len(data), _STEP):
                part = data[start : start + _STEP]
                super().data_received(part)
                if self.transport.is_closing():
                    return
                if self._place == "headers":
                    self._header_bytes += len(part)
                    if self._header_bytes > MAX_HEADERS:
                        self.send_400_response("The headers are too large.")
                        return
            if self._place == "between" and self.cycle.response_complete and not self._timers:
                self._start("headers")  # uvicorn stops its own timer at any byte

        def pause_writing(self) -> None:
            super().pause_writing()
            self._start("writing")

        def resume_writing(self) -> None:
            self._stop("writing")
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            for name in list(self._timers):
                self._stop(name)
            super().connection_lost(exc)

        def _begin_headers(self) -> None:
            self._place, self._header_bytes = "headers", 0
            self._start("headers")

        def _start(self, name: str) -> None:
            self._stop(name)
            self._timers[name] = self.loop.call_later(max_read, self.transport.abort)

        def _stop(self, name: str) -> None:
            if timer := self._timers.pop(name, None):
                timer.cancel()

    return Protocol
