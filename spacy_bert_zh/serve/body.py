"""The body of a request: bytes from strangers become a question, cheaply whatever they are."""

import json
import re
from typing import Any, TypeVar

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers

from spacy_bert_zh.retrieve import LONGEST
from spacy_bert_zh.serve.schemas import Question
from spacy_bert_zh.serve.searching import SearchQuestion
from spacy_bert_zh.serve.settings import Limits
from spacy_bert_zh.serve.why import WhyQuestion

SPARE = 1000
"""Values that a body may have besides the texts, so that most mistakes are named precisely."""
_DIGITS = 1000
_Asked = TypeVar("_Asked", bound=BaseModel)
# What stands before a string, and the string. Nothing is ever tried twice: a body of nothing but
# quotes takes no longer than another.
_STRING = re.compile(r'([^"]*+)"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def check_headers(headers: Headers) -> None:
    """Whether the body is what `read_question` reads.

    Raises:
        HTTPException: 415, for it is of another type, or packed.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/([\w.-]+\+)?json", kind):
        said = f"not {kind[:100]!r}" if kind else "which is missing"
        detail = f"the body must be JSON: send the header 'Content-Type: application/json', {said}"
        raise HTTPException(415, detail, {"Accept": "application/json"})
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        detail = "send the body as it is, without the header 'Content-Encoding'"
        raise HTTPException(415, detail, {"Accept-Encoding": "identity"})


def read_question(body: bytes, limits: Limits) -> Question:
    """Parse and check the body of a request for a classification.

    Raises:
        HTTPException: 400, it can't be decoded.
        RequestValidationError: It is no JSON, or not what is expected.
    """
    question = parse_body(body, limits, Question)
    texts = question.all_texts()
    if len(texts) > limits.max_texts:
        message = f"{len(texts)} texts are more than {limits.max_texts}"
        raise RequestValidationError([problem(message, "texts")])
    problems = [
        _too_long(text, limits.max_length, *question.place(i))
        for i, text in enumerate(texts)
        if len(text) > limits.max_length
    ]
    if problems:
        raise RequestValidationError(problems)
    return question


def read_why(body: bytes, limits: Limits) -> WhyQuestion:
    """Parse and check the body of a request for an explanation; raises as `read_question`."""
    question = parse_body(body, limits, WhyQuestion)
    if len(question.text) > limits.max_explained:
        raise RequestValidationError([_too_long(question.text, limits.max_explained, "text")])
    return question


def read_search(body: bytes, limits: Limits) -> SearchQuestion:
    """Parse and check the body of a request for a search; raises as `read_question`."""
    question = parse_body(body, limits, SearchQuestion)
    if len(question.text) > (most := longest_search(limits)):
        raise RequestValidationError([_too_long(question.text, most, "text")])
    return question


def longest_search(limits: Limits) -> int:
    """Characters that a question of a search may have."""
    return min(limits.max_length, LONGEST)


def problem(message: str, *place: str | int) -> dict[str, Any]:
    """What `RequestValidationError` takes."""
    return {"type": "value_error", "loc": ("body", *place), "msg": message}


def parse_body(body: bytes, limits: Limits, kind: type[_Asked]) -> _Asked:
    """Parse a body and check it against a schema; raises as `read_question`.

    Its values are counted before they are parsed: a million bytes can hold half a million
    numbers, each with an error of its own, or as many empty lists for the garbage collector.
    """
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        _count(text, limits.max_texts)
        value = json.loads(text, parse_int=_parse_int)
    except json.JSONDecodeError as error:
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body", error.pos), "msg": f"no JSON: {error.msg}"}]
        ) from None
    except (ValueError, RecursionError):
        raise HTTPException(400, "there was an error parsing the body") from None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [{**item, "loc": ("body", *item["loc"])} for item in told]
        raise RequestValidationError(problems) from None


def _count(text: str, max_texts: int) -> None:
    """Refuse what has more structure than a question could; look no further than that."""
    most = max_texts + SPARE
    opened = parted = strings = end = 0
    # Strings with nothing between them are no JSON, which `json` finds out.
    while parted <= most and strings <= parted + 1 and (found := _STRING.match(text, end)):
        opened += found[1].count("[") + found[1].count("{")
        parted += found[1].count(",") + found[1].count(":")
        strings, end = strings + 1, found.end()
    rest = text[end:].partition('"')[0]  # a string without an end is no JSON either
    if opened + rest.count("[") + rest.count("{") > most:
        raise HTTPException(400, f"the body has more than {most} lists and objects")
    if parted + rest.count(",") > most:
        message = f"there are more than {most} values; a request has {max_texts} texts at most"
        raise RequestValidationError([problem(message)])


def _parse_int(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError  # the time that it takes grows with the square
    return int(digits)


def _too_long(text: str, most: int, *place: str | int) -> dict[str, Any]:
    return problem(f"{len(text)} characters are more than {most}", *place)
