"""Routes that are guarded, all but those of a list."""

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from spacy_bert_zh.serve.guard import Guard

OPEN = frozenset(
    {"health", "ready", "metrics", "pipelines", "openapi", "docs", "index", "find", "part"},
)
"""Names of the routes that anybody may ask: none of them classifies, explains or searches."""


def make_route_class(guard: Guard) -> type[APIRoute]:
    """The class of an application's routes.

    It is the route that answers which asks the guard, so that no path, however it is written,
    can lead to one and not to the other.
    """

    class Route(APIRoute):
        """Guarded, if its name isn't among those of `OPEN`; answers HEAD where it answers GET."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            # A pattern's end also matches before a line feed, and no path of ours has any.
            if scope["type"] != "http" or not scope["path"].isprintable():
                return Match.NONE, {}
            return super().matches(_as_get(scope))

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if self.name in OPEN:
                await self._answer(scope, receive, send)
            else:
                async with guard.admitting(scope, receive):
                    await self._answer(scope, receive, send)

        async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
            methods = self.methods or set()
            if "GET" in methods:
                methods = {*methods, "HEAD"}
            if scope["method"] not in methods:
                raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
            # The server leaves the body out.
            await super().handle(_as_get(scope), receive, send)

    return Route


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
