"""The labelling page's application, behind the guard of `serve`."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from spacy_bert_zh.label.agreement import measure
from spacy_bert_zh.label.desk import Desk, Progress, Refused, Taken
from spacy_bert_zh.label.schemas import Agreement, Answering, Opened, Opening, Task, Undoing, Who
from spacy_bert_zh.loading import Answer as Guess
from spacy_bert_zh.serve.app import guarded_app
from spacy_bert_zh.serve.body import check_headers, parse_body, problem
from spacy_bert_zh.serve.pages import read_files
from spacy_bert_zh.serve.server import run
from spacy_bert_zh.serve.service import Service
from spacy_bert_zh.serve.settings import Limits

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
_SHARED = ("dom.js", "key.js", "page.css", "say.js", "service.js")
"""Parts of the page of `serve` that this one is made of, too."""
_Asked = TypeVar("_Asked", bound=BaseModel)


def serve_desk(desk: Desk, host: str, port: int) -> None:
    """Serve the page until a signal; see `spacy_bert_zh.label.label`."""
    run((), host, port, Limits(), partial(make_app, desk=desk, host=host))


def make_app(service: Service, api_key: bytes, desk: Desk, host: str) -> FastAPI:
    """Build the application.

    Args:
        service: Whose limits hold.
        api_key: What a request must bring; empty for none.
        desk: What is labelled.
        host: Address that is listened at. Without a key, a page of a stranger could have the
            browser take its own name for this machine's address and read the texts: at an address
            of the machine itself only requests for it are answered.

    Returns:
        An ASGI application whose routes are all guarded, but for the page's files and `health`.
    """
    local = not api_key and host in LOOPBACK
    app = guarded_app(service, api_key, LOOPBACK if local else ("*",))
    judge = ThreadPoolExecutor(1, "judge")
    _add_page(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "alive"}

    async def task(found: Progress, given: Sequence[str] | None = None) -> Task:
        text = "" if found.place is None else desk.items[found.place].text
        guess: Guess | None = None
        if desk.judge and text:
            guess = await asyncio.get_running_loop().run_in_executor(judge, desk.judge, text)
        best = sorted(guess.scores.items(), key=lambda item: -item[1]) if guess else None
        return Task(
            place=found.place,
            text=text,
            guess=guess.labels if guess else None,
            scores=best,
            given=None if given is None else list(given),
            done=found.done,
            skipped=found.skipped,
            total=len(desk.items),
            last=found.last,
        )

    @app.post("/open")
    async def open_(request: Request) -> Opened:
        """Begin to label, or go on."""
        asked = _read(request, service, Opening)
        found = _try(partial(desk.open, asked.annotator, asked.session, asked.take_over))
        names, exclusive = list(desk.labels.names), desk.labels.exclusive
        opened = await task(found)
        return Opened(labels=names, exclusive=exclusive, guideline=desk.guideline, task=opened)

    @app.post("/answer")
    async def answer(request: Request) -> Task:
        """Store an answer; the reply, with the next text, says that it is on disk."""
        asked = _read(request, service, Answering)
        who = (asked.annotator, asked.session, asked.place)
        return await task(_try(partial(desk.answer, *who, asked.labels)))

    @app.post("/undo")
    async def undo(request: Request) -> Task:
        """Take an answer back."""
        asked = _read(request, service, Undoing)
        who = (asked.annotator, asked.session, asked.place)
        found, before = _try(partial(desk.undo, *who))
        return await task(found, before.labels if before else None)

    @app.post("/agreement")
    async def agreement(request: Request) -> Agreement:
        """How far the annotators agree."""
        _read(request, service, Who)
        known = {item.text for item in desk.items}
        answers = [answer for answer in desk.store.all() if answer.text in known]
        return await asyncio.to_thread(measure, answers)

    return app


def _add_page(app: FastAPI) -> None:
    shared = resources.files("spacy_bert_zh.serve") / "page"
    ours = resources.files("spacy_bert_zh.label") / "page"
    files = read_files([*(shared / name for name in _SHARED), *ours.iterdir()])

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return files["index.html"]

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return files[name]


def _read(request: Request, service: Service, kind: type[_Asked]) -> _Asked:
    check_headers(request.headers)
    return parse_body(request.state.body, service.limits, kind)


_Found = TypeVar("_Found")


def _try(work: "partial[_Found]") -> _Found:
    try:
        return work()
    except Taken:
        raise HTTPException(409, "taken") from None
    except Refused as error:
        raise RequestValidationError([problem(str(error), "answer")]) from None
