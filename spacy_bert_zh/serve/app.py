"""The FastAPI application."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from spacy_bert_zh import __version__
from spacy_bert_zh.loading import Answer
from spacy_bert_zh.serve.batching import Batcher, QueueFull, Unanswerable
from spacy_bert_zh.serve.body import check_headers, problem, read_question
from spacy_bert_zh.serve.guard import RETRY, Guard, Record, reply
from spacy_bert_zh.serve.interface import BODY, NOT_READY, PROBLEMS, describe_interface
from spacy_bert_zh.serve.pages import add_pages
from spacy_bert_zh.serve.routes import make_route_class
from spacy_bert_zh.serve.schemas import (
    Bounds,
    Catalogue,
    Question,
    Reply,
    describe,
    labels_of,
    make_result,
)
from spacy_bert_zh.serve.service import Service

_LARGE = 20_000  # bytes that take longer to read than a thread to be asked
_FAULTS, _SHOWN = 10, 100
_T = TypeVar("_T")


def make_app(service: Service, api_key: bytes) -> FastAPI:
    """Build the application.

    Args:
        service: What answers.
        api_key: What a request for a classification must bring; empty for none.

    Returns:
        An ASGI application whose routes are all guarded, but for those of `routes.OPEN`.
    """
    app = FastAPI(
        title="spacy_bert_zh",
        version=__version__,
        openapi_url=None,  # FastAPI's own routes would be none of ours
        redirect_slashes=False,  # to whatever host the request names
    )
    app.router.route_class = make_route_class(Guard(service, api_key))
    app.add_middleware(Record, metrics=service.metrics)
    app.add_exception_handler(RequestValidationError, _explain)

    @app.post("/classify", response_model=Reply, responses=PROBLEMS, openapi_extra=BODY)
    async def classify(request: Request) -> Response:
        """Classify texts."""
        try:
            async with asyncio.timeout(service.limits.deadline):
                return await _classify(request, service)
        except TimeoutError:
            raise HTTPException(504, "not computed before the deadline") from None

    @app.get("/pipelines", responses=NOT_READY)
    async def pipelines() -> Catalogue:
        """What can be asked, and within which limits."""
        _check_ready(service)
        found = [describe(name, batcher.nlp) for name, batcher in service.batchers.items()]
        return Catalogue(pipelines=found, limits=Bounds(**vars(service.limits)))

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "alive"}

    @app.get("/ready", responses=NOT_READY)
    async def ready() -> dict[str, str]:
        """Whether requests are accepted."""
        _check_ready(service)
        return {"status": "ready"}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    add_pages(app)
    describe_interface(app, service, bool(api_key))
    return app


def _check_ready(service: Service) -> None:
    if not service.ready:
        raise HTTPException(503, "stopping" if service.stopping else "loading", RETRY)


async def _explain(_: Request, error: Exception) -> Response:
    """As FastAPI's own 422, but without the input: it may be long, and it may be no JSON."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"type": item["type"], "loc": [_short(part) for part in item["loc"]], "msg": item["msg"]}
        for item in error.errors()[:_FAULTS]
    ]
    return reply(422, faults)


def _short(part: str | int) -> str | int:
    return part[:_SHOWN] if isinstance(part, str) else part


async def _classify(request: Request, service: Service) -> Response:
    check_headers(request.headers)
    body: bytes = request.state.body  # the guard's: there is none for who hasn't passed it
    read = partial(read_question, body, service.limits)
    question = await _apart(service, read) if len(body) > _LARGE else read()
    texts = question.all_texts()
    request.state.texts = len(texts)
    name, batcher = _find(question, service)
    _check_scores(question, texts, batcher, service.limits.max_scores)
    results = await _answers(question, texts, batcher)
    start = f'{{"pipeline":{json.dumps(name)},"results":['.encode()
    return Response(start + b",".join(results) + b"]}", media_type="application/json")


async def _apart(service: Service, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(service.reader, work)


def _find(question: Question, service: Service) -> tuple[str, Batcher]:
    name = question.pipeline or next(iter(service.batchers))
    if name not in service.batchers:
        message = f"there is no such pipeline, but {', '.join(service.batchers)}"
        raise RequestValidationError([problem(message, "pipeline")])
    return name, service.batchers[name]


def _check_scores(question: Question, texts: list[str], batcher: Batcher, most: int) -> None:
    labels = len(labels_of(batcher.nlp))
    told = min(question.top_k or labels, labels)
    if len(texts) > 1 and len(texts) * told > most:
        message = (
            f"{len(texts)} texts with {told} scores each are more than {most} scores: "
            f"give 'top_k', or fewer texts at a time"
        )
        raise RequestValidationError([problem(message, "texts")])


async def _answers(question: Question, texts: list[str], batcher: Batcher) -> list[bytes]:
    def finish(answer: Answer) -> bytes:
        return make_result(question, answer).model_dump_json(exclude_none=True).encode()

    try:
        return await batcher.classify(texts, finish)
    except QueueFull:
        raise HTTPException(503, "the queue is full", RETRY) from None
    except Unanswerable as error:
        message = "the pipeline fails on this text"
        raise RequestValidationError(
            [problem(message, *question.place(i)) for i in error.places]
        ) from None
