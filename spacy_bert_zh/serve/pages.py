"""The pages for people: a few files, read once."""

from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import FastAPI, HTTPException, Request, Response

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-cache",
    # Texts of strangers are shown: were one ever taken for markup, it still couldn't do anything.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")


def add_pages(app: FastAPI) -> None:
    """Serve the pages at ``/``, ``/find`` and ``/docs``, and their parts under ``/page/``."""
    ours = resources.files("spacy_bert_zh.serve") / "page"
    swagger = resources.files("fastapi_offline") / "static"
    files = read_files([*ours.iterdir(), *(swagger / name for name in _SWAGGER)])

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return files["index.html"]

    @app.get("/find", include_in_schema=False)
    async def find() -> Response:
        return files["find.html"]

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return files["docs.html"]

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> dict:
        return request.app.openapi()

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return files[name]


def read_files(paths: Iterable[Traversable]) -> dict[str, Response]:
    """The answers, by name, for those files that are parts of a page."""
    return {path.name: _serve(path) for path in paths if _suffix(path) in _TYPES}


def _serve(path: Traversable) -> Response:
    return Response(path.read_bytes(), headers=_HEADERS, media_type=_TYPES[_suffix(path)])


def _suffix(path: Traversable) -> str:
    return path.name[path.name.rfind(".") :]
