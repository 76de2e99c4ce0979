"""Bodies of legal size, whatever they are: read in no time, refused in a few words."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.hostile import BODIES, WRONG
from spacy_bert_zh.serve import Limits
from spacy_bert_zh.serve.body import read_question
from spacy_bert_zh.serve.schemas import Question
from tests.serve.serving import Running, save_stock, serving

JSON = {"Content-Type": "application/json"}
LABELS = 2000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two pipelines, one with many labels, and one that gives none."""
    folder = tmp_path_factory.mktemp("body")
    wide = save_stock(folder / "wide", LABELS)
    none = save_stock(folder / "none", exclusive=False)
    with serving(folder, str(none), str(wide)) as running:
        running.wait_for("ready")
        yield running
        assert not [line for line in running.lines() if line["level"] == "error"]


@pytest.mark.parametrize("name", BODIES)
def test_no_body_of_legal_size_takes_long(name: str) -> None:
    body = BODIES[name]
    assert 900_000 < len(body) <= Limits.max_body
    begin = time.thread_time()
    try:
        read_question(body, Limits())
    except RequestValidationError as error:
        assert len(error.errors()) < 2000
    except HTTPException as error:
        assert error.status_code == 400
    assert time.thread_time() - begin < 0.2


def test_refusals_are_short(server: Running) -> None:
    for name, body in WRONG.items():
        reply = server.client.post("/classify", content=body, headers=JSON)
        assert reply.status_code in (400, 422), name
        assert len(reply.content) < 5000, name
        assert len(reply.json()["detail"]) <= 10 or reply.status_code == 400, name
    reply = server.client.post("/classify", content=WRONG["numbers"], headers=JSON)
    assert "a request has 256 texts at most" in reply.json()["detail"][0]["msg"]


values = st.none() | st.booleans() | st.floats() | st.integers(0, 10**30) | st.text(max_size=9)
nested = st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
question = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("text", "texts", "top_k", "threshold", "explain", "x"), nested)
)
whole = st.fixed_dictionaries({"texts": st.lists(st.text(max_size=9), max_size=300)})


@given(question | whole)
def test_questions_are_read_as_they_are_meant(value: dict[str, Any]) -> None:
    """Counting refuses nothing, and changes nothing, that is a question."""
    try:
        expected = Question.model_validate(json.loads(json.dumps(value)))
    except ValidationError:
        expected = None
    for text in (json.dumps(value), json.dumps(value, indent=9, ensure_ascii=True)):
        try:
            found = read_question(text.encode(), Limits())
        except RequestValidationError:
            assert expected is None or len(expected.all_texts()) > 256
        else:
            assert found == expected


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({}, "Content-Type: application/json"),
        ({"Content-Type": "text/plain"}, "Content-Type: application/json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type: application/json"),
        ({**JSON, "Content-Encoding": "gzip"}, "Content-Encoding"),
    ],
    ids=["none", "text", "form", "packed"],
)
def test_a_header_that_is_wrong_is_named(headers: dict, named: str, server: Running) -> None:
    reply = server.client.post("/classify", content=b'{"text": "a"}', headers=headers)
    assert reply.status_code == 415
    assert named in reply.json()["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/x.y+JSON"])
def test_json_by_other_names_is_read(kind: str, server: Running) -> None:
    headers = {"Content-Type": kind}
    assert server.client.post("/classify", content=b'{"text": "a"}', headers=headers).is_success


def test_an_answer_is_bounded(server: Running) -> None:
    texts = ["好"] * 256
    reply = server.classify(texts=texts, pipeline="wide")
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["msg"] == (
        "256 texts with 2000 scores each are more than 100000 scores: give 'top_k', or fewer "
        "texts at a time"
    )
    reply = server.classify(texts=texts, pipeline="wide", top_k=3)
    assert [len(result["labels"]) for result in reply.json()["results"]] == [3] * 256
    reply = server.classify(texts=texts[:50], pipeline="wide")
    assert [len(result["labels"]) for result in reply.json()["results"]] == [LABELS] * 50


def test_labels_that_are_given_are_named(server: Running) -> None:
    (result,) = server.classify(text="好", pipeline="wide", top_k=1).json()["results"]
    assert result["given"] == [result["labels"][0]["label"]]
    (result,) = server.classify(text="好", threshold=1.0, pipeline="wide").json()["results"]
    assert (result["labels"], len(result["given"])) == ([], 1)
    (result,) = server.classify(text="好", pipeline="none").json()["results"]
    assert (len(result["labels"]), result["given"]) == (2, [])


def test_others_are_answered_meanwhile(server: Running) -> None:
    def send(name: str) -> int:
        return server.client.post("/classify", content=WRONG[name], headers=JSON).status_code

    with ThreadPoolExecutor(4) as pool:
        done = pool.map(send, list(WRONG) * 2)
        waits = []
        for _ in range(20):
            reply = httpx.get(f"{server.client.base_url}/health")
            waits.append(reply.elapsed.total_seconds())
        assert set(done) <= {400, 422}
    assert sorted(waits)[10] < 1
