"""The OpenAPI document: what FastAPI can't tell by itself."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from spacy_bert_zh.serve.body import longest_search
from spacy_bert_zh.serve.schemas import Faults, Problem, Question, labels_of
from spacy_bert_zh.serve.searching import SearchQuestion
from spacy_bert_zh.serve.service import Service
from spacy_bert_zh.serve.why import WhyQuestion

_REFERENCE = "#/components/schemas/{model}"
_EXAMPLES: dict[type[BaseModel], dict[str, Any]] = {
    Question: {"texts": ["这家店很好吃", "难吃"], "top_k": 1},
    WhyQuestion: {"text": "这家店很好吃", "contrast": True},
    SearchQuestion: {"text": "钱什么时候退给我", "top_k": 3},
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body can't be decoded"},
    401: {"model": Problem, "description": "The API key is missing or wrong"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "The headers say that the body is no plain JSON"},
    422: {"model": Faults, "description": "The body is not what is expected"},
    429: {"model": Problem, "description": "Too many requests in a minute; see Retry-After"},
    500: {"model": Problem, "description": "An error of the server"},
    503: {"model": Problem, "description": "Not ready, or too busy; see Retry-After"},
    504: {"model": Problem, "description": "Not computed before the deadline"},
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "Loading or stopping; see Retry-After"},
}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """A body that FastAPI doesn't read itself, as the document names it."""
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    content = {"application/json": {"schema": schema, "example": _EXAMPLES[model]}}
    return {"requestBody": {"required": True, "content": content}}


def describe_interface(app: FastAPI, service: Service, has_key: bool) -> None:
    """Let the document name this server's limits and pipelines, and whether it wants a key."""
    plain = app.openapi
    asked = {
        model.__name__: model.model_json_schema(ref_template=_REFERENCE) for model in _EXAMPLES
    }

    def openapi() -> dict[str, Any]:
        document = deepcopy(plain())
        components = document["components"]
        components["schemas"] |= deepcopy(asked)
        for name in asked:
            bound = _bound_search if name == SearchQuestion.__name__ else _bound
            bound(components["schemas"][name]["properties"], service)
        if has_key:
            key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
            components["securitySchemes"] = {"key": key}
            for path in ("/classify", "/explain", "/search"):
                document["paths"][path]["post"]["security"] = [{"key": []}]
        if service.ready:
            _leave_out(document["paths"], service)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _bound(asked: dict[str, Any], service: Service) -> None:
    limits = service.limits
    if "texts" in asked:
        text, texts = (asked[key]["anyOf"][0] for key in ("text", "texts"))
        text["maxLength"] = texts["items"]["maxLength"] = limits.max_length
        texts["maxItems"] = limits.max_texts
    else:
        asked["text"]["maxLength"] = limits.max_explained
        known = {label for one in service.batchers.values() for label in labels_of(one.nlp)}
        if known:
            labels, against = (asked[key]["anyOf"][0] for key in ("labels", "against"))
            labels["items"]["enum"] = against["enum"] = sorted(known)
    if service.batchers:
        asked["pipeline"]["anyOf"][0]["enum"] = list(service.batchers)


def _bound_search(asked: dict[str, Any], service: Service) -> None:
    asked["text"]["maxLength"] = longest_search(service.limits)
    if service.searchers:
        asked["folder"]["anyOf"][0]["enum"] = list(service.searchers)
        known = {by for one in service.searchers.values() for by in one.nlp.modes}
        asked["by"]["anyOf"][0]["enum"] = sorted(known)


def _leave_out(paths: dict[str, Any], service: Service) -> None:
    """What nothing here could answer."""
    if not service.searchers:
        del paths["/search"]
    if not service.batchers:
        del paths["/classify"], paths["/explain"]
