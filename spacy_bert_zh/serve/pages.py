"""The page for people: a few files, read once."""

from importlib import resources

from fastapi import FastAPI, HTTPException, Response

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


def add_page(app: FastAPI) -> None:
    """Serve the page at ``/`` and what it is made of under ``/page/``."""
    files = _read()

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return files["index.html"]

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return files[name]


def _read() -> dict[str, Response]:
    folder = resources.files("spacy_bert_zh.serve") / "page"
    return {
        path.name: Response(path.read_bytes(), headers=_HEADERS, media_type=media_type)
        for path in folder.iterdir()
        for suffix, media_type in _TYPES.items()
        if path.name.endswith(suffix)
    }
