"""The OpenAPI document: what FastAPI can't tell by itself."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from spacy_bert_zh.serve.schemas import Faults, Problem, Question
from spacy_bert_zh.serve.service import Service

_REFERENCE = "#/components/schemas/{model}"
_QUESTION = {
    "schema": {"$ref": _REFERENCE.format(model="Question")},
    "example": {"texts": ["这家店很好吃", "难吃"], "top_k": 1},
}

BODY = {"requestBody": {"required": True, "content": {"application/json": _QUESTION}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body can't be decoded"},
    401: {"model": Problem, "description": "The API key is missing or wrong"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "The headers say that the body is no plain JSON"},
    422: {"model": Faults, "description": "The body is not what is expected"},
    500: {"model": Problem, "description": "An error of the server"},
    503: {"model": Problem, "description": "Not ready, or too busy; see Retry-After"},
    504: {"model": Problem, "description": "Not computed before the deadline"},
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "Loading or stopping; see Retry-After"},
}


def describe_interface(app: FastAPI, service: Service, has_key: bool) -> None:
    """Let the document name this server's limits and pipelines, and whether it wants a key."""
    plain = app.openapi
    question = Question.model_json_schema(ref_template=_REFERENCE)

    def openapi() -> dict[str, Any]:
        document = deepcopy(plain())
        components = document["components"]
        components["schemas"]["Question"] = asked = deepcopy(question)
        _bound(asked["properties"], service)
        if has_key:
            key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
            components["securitySchemes"] = {"key": key}
            document["paths"]["/classify"]["post"]["security"] = [{"key": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _bound(asked: dict[str, Any], service: Service) -> None:
    text, texts, pipeline = (asked[key]["anyOf"][0] for key in ("text", "texts", "pipeline"))
    text["maxLength"] = texts["items"]["maxLength"] = service.limits.max_length
    texts["maxItems"] = service.limits.max_texts
    if service.batchers:
        pipeline["enum"] = list(service.batchers)
