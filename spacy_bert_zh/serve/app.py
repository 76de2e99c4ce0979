"""The FastAPI application."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from spacy_bert_zh import __version__
from spacy_bert_zh.answers import Answer
from spacy_bert_zh.serve.batching import Batcher, QueueFull, Unanswerable
from spacy_bert_zh.serve.guard import GUARDED, RETRY, Guard, Record, reply
from spacy_bert_zh.serve.pages import add_page
from spacy_bert_zh.serve.schemas import (
    Bounds,
    Catalogue,
    Problem,
    Question,
    Reply,
    describe,
    make_result,
)
from spacy_bert_zh.serve.service import Service
from spacy_bert_zh.serve.settings import Limits

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body can't be decoded"},
    401: {"model": Problem, "description": "The API key is missing or wrong"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body is too large"},
    500: {"model": Problem, "description": "An error of the server"},
    503: {"model": Problem, "description": "Not ready, or too busy; see Retry-After"},
    504: {"model": Problem, "description": "Not computed before the deadline"},
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "Loading or stopping; see Retry-After"},
}


def make_app(service: Service, api_key: bytes) -> FastAPI:
    """Build the application.

    Args:
        service: What answers.
        api_key: What a request for a classification must bring; empty for none.

    Returns:
        An ASGI application for HTTP alone: it wants a server with its lifespan off.
    """
    app = FastAPI(title="spacy_bert_zh", version=__version__)
    app.add_middleware(Guard, service=service, api_key=api_key)
    app.add_middleware(Record, metrics=service.metrics)
    app.add_exception_handler(RequestValidationError, _explain)

    @app.post(GUARDED, response_model_exclude_none=True, responses=PROBLEMS)
    async def classify(question: Question, request: Request) -> Reply:
        """Classify texts."""
        texts = question.all_texts()
        request.state.texts = len(texts)
        _check(question, texts, service.limits)
        name, batcher = _find(question, service)
        answers = await _answers(question, texts, batcher)
        return Reply(pipeline=name, results=[make_result(question, answer) for answer in answers])

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

    add_page(app)
    _tell_limits(app, service)
    return app


def _tell_limits(app: FastAPI, service: Service) -> None:
    """Let the OpenAPI document name this server's limits and pipelines."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = deepcopy(plain())
        asked = document["components"]["schemas"]["Question"]["properties"]
        text, texts, pipeline = (asked[key]["anyOf"][0] for key in ("text", "texts", "pipeline"))
        text["maxLength"] = texts["items"]["maxLength"] = service.limits.max_length
        texts["maxItems"] = service.limits.max_texts
        if service.batchers:
            pipeline["enum"] = list(service.batchers)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _check_ready(service: Service) -> None:
    if not service.ready:
        raise HTTPException(503, "stopping" if service.stopping else "loading", RETRY)


async def _explain(_: Request, error: Exception) -> Response:
    """As FastAPI's own 422, but without the input: it may be long, and it may be no JSON."""
    assert isinstance(error, RequestValidationError)
    problems = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return reply(422, problems)


def _problem(message: str, *place: str | int) -> dict[str, Any]:
    return {"type": "value_error", "loc": ("body", *place), "msg": message}


def _check(question: Question, texts: list[str], limits: Limits) -> None:
    if len(texts) > limits.max_texts:
        message = f"{len(texts)} texts are more than {limits.max_texts}"
        raise RequestValidationError([_problem(message, "texts")])
    problems = [
        _problem(f"{len(text)} characters are more than {limits.max_length}", *question.place(i))
        for i, text in enumerate(texts)
        if len(text) > limits.max_length
    ]
    if problems:
        raise RequestValidationError(problems)


def _find(question: Question, service: Service) -> tuple[str, Batcher]:
    name = question.pipeline or next(iter(service.batchers))
    if name not in service.batchers:
        message = f"there is no such pipeline, but {', '.join(service.batchers)}"
        raise RequestValidationError([_problem(message, "pipeline")])
    return name, service.batchers[name]


async def _answers(question: Question, texts: list[str], batcher: Batcher) -> list[Answer]:
    try:
        return await batcher.classify(texts)
    except QueueFull:
        raise HTTPException(503, "the queue is full", RETRY) from None
    except TimeoutError:
        raise HTTPException(504, "not computed before the deadline") from None
    except Unanswerable as error:
        message = "the pipeline fails on this text"
        raise RequestValidationError(
            [_problem(message, *question.place(i)) for i in error.places]
        ) from None
