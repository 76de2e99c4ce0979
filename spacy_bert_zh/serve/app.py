"""The FastAPI application."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from spacy_bert_zh import __version__
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import Answer
from spacy_bert_zh.serve.batching import Batcher, QueueFull, Unanswerable
from spacy_bert_zh.serve.body import (
    check_headers,
    longest_search,
    problem,
    read_question,
    read_search,
    read_why,
)
from spacy_bert_zh.serve.guard import RETRY, Guard, Record, reply
from spacy_bert_zh.serve.interface import NOT_READY, PROBLEMS, body_of, describe_interface
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
from spacy_bert_zh.serve.searching import SearchQuestion, SearchReply, describe_folder
from spacy_bert_zh.serve.service import Service
from spacy_bert_zh.serve.settings import Limits
from spacy_bert_zh.serve.why import WhyQuestion, WhyReply, make_why

_LARGE = 20_000  # bytes that take longer to read than a thread to be asked
_FAULTS, _SHOWN = 10, 100
_FAILS = "the pipeline fails on this text"
_Asked = TypeVar("_Asked")
_Chosen = TypeVar("_Chosen")


def make_app(service: Service, api_key: bytes) -> FastAPI:
    """Build the application.

    Args:
        service: What answers.
        api_key: What a request for a classification or an explanation must bring; empty for none.

    Returns:
        An ASGI application whose routes are all guarded, but for those of `routes.OPEN`.
    """
    app = guarded_app(service, api_key)

    @app.post(
        "/classify", response_model=Reply, responses=PROBLEMS, openapi_extra=body_of(Question)
    )
    async def classify(request: Request) -> Response:
        """Classify texts."""
        return await _in_time(_classify(request, service), service.limits.deadline)

    @app.post(
        "/explain", response_model=WhyReply, responses=PROBLEMS, openapi_extra=body_of(WhyQuestion)
    )
    async def explain(request: Request) -> Response:
        """Explain the labels of a text."""
        return await _in_time(_tell_why(request, service), service.limits.deadline)

    @app.post(
        "/search",
        response_model=SearchReply,
        responses=PROBLEMS,
        openapi_extra=body_of(SearchQuestion),
    )
    async def search(request: Request) -> Response:
        """Find what fits a question best."""
        return await _in_time(_search(request, service), service.limits.deadline)

    @app.get("/pipelines", responses=NOT_READY)
    async def pipelines() -> Catalogue:
        """What can be asked, and within which limits."""
        _check_ready(service)
        found = [describe(name, batcher.nlp) for name, batcher in service.batchers.items()]
        most = longest_search(service.limits)
        folders = [describe_folder(name, one.nlp, most) for name, one in service.searchers.items()]
        bounds = Bounds(**vars(service.limits))
        return Catalogue(pipelines=found, folders=folders, limits=bounds)

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


def guarded_app(service: Service, api_key: bytes, hosts: Sequence[str] = ("*",)) -> FastAPI:
    """An application without routes, which guards those that it is given.

    Args:
        service: Whose limits hold.
        api_key: What a request must bring for a route that isn't open; empty for none.
        hosts: Names that a request may know this server by; "*" is any.
    """
    app = FastAPI(
        title="spacy_bert_zh",
        version=__version__,
        openapi_url=None,  # FastAPI's own routes would be none of ours
        redirect_slashes=False,  # to whatever host the request names
    )
    app.router.route_class = make_route_class(Guard(service, api_key))
    if "*" not in hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(Record, metrics=service.metrics)
    app.add_exception_handler(RequestValidationError, _explain)
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


async def _in_time(answer: Awaitable[Response], deadline: float) -> Response:
    try:
        async with asyncio.timeout(deadline):
            return await answer
    except TimeoutError:
        raise HTTPException(504, "not computed before the deadline") from None


async def _read(
    request: Request, service: Service, read: Callable[[bytes, Limits], _Asked]
) -> _Asked:
    check_headers(request.headers)
    body: bytes = request.state.body  # the guard's: there is none for who hasn't passed it
    work = partial(read, body, service.limits)
    if len(body) <= _LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(service.reader, work)


async def _classify(request: Request, service: Service) -> Response:
    question = await _read(request, service, read_question)
    texts = question.all_texts()
    request.state.texts = len(texts)
    name, batcher = _find(question.pipeline, service)
    _check_scores(question, texts, batcher, service.limits.max_scores)
    results = await _answers(question, texts, batcher)
    start = f'{{"pipeline":{json.dumps(name)},"results":['.encode()
    return Response(start + b",".join(results) + b"]}", media_type="application/json")


async def _tell_why(request: Request, service: Service) -> Response:
    question = await _read(request, service, read_why)
    request.state.texts = 1
    name, batcher = _find(question.pipeline, service)
    _check_labels(question, batcher)
    try:
        reply = await batcher.alone(partial(make_why, question, name))
    except QueueFull:
        raise _full() from None
    except Unanswerable:
        raise RequestValidationError([problem(_FAILS, "text")]) from None
    except BertZhError as error:
        raise RequestValidationError([problem(str(error), "pipeline")]) from None
    return Response(reply, media_type="application/json")


async def _search(request: Request, service: Service) -> Response:
    question = await _read(request, service, read_search)
    request.state.texts = 1
    name, searcher = _choose(question.folder, service.searchers, "folder")
    if question.by not in (None, *(modes := searcher.nlp.modes)):
        message = f"the folder can be searched by {' or '.join(modes)}"
        raise RequestValidationError([problem(message, "by")])
    try:
        reply = await searcher.search(question, name)
    except QueueFull:
        raise _full() from None
    except Unanswerable:
        raise RequestValidationError([problem(_FAILS, "text")]) from None
    return Response(reply, media_type="application/json")


def _full() -> HTTPException:
    return HTTPException(503, "the queue is full", RETRY)


def _find(wanted: str | None, service: Service) -> tuple[str, Batcher]:
    return _choose(wanted, service.batchers, "pipeline")


def _choose(wanted: str | None, known: dict[str, _Chosen], what: str) -> tuple[str, _Chosen]:
    name = wanted or next(iter(known), "")
    if name not in known:
        message = f"this service has no {what}: start it with one"
        if known:
            message = f"there is no such {what}, but {', '.join(known)}"
        raise RequestValidationError([problem(message, what)])
    return name, known[name]


def _check_labels(question: WhyQuestion, batcher: Batcher) -> None:
    known = set(labels_of(batcher.nlp))
    against = None if question.against is None else [question.against]
    asked = {"labels": question.labels, "against": against}
    problems = [
        problem("the pipeline has no such label", place)
        for place, labels in asked.items()
        if not known.issuperset(labels or [])
    ]
    if problems:
        raise RequestValidationError(problems)


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
        raise _full() from None
    except Unanswerable as error:
        raise RequestValidationError(
            [problem(_FAILS, *question.place(i)) for i in error.places]
        ) from None
