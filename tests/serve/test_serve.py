"""The server as its clients see it: answers, refusals, keys, reloads, the end."""

import json
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import spacy

from spacy_bert_zh.serve.schemas import Pipeline, describe
from tests.conftest import make_rows
from tests.serve.serving import Running, save_moody, serving

TEXTS = [text for text, _ in make_rows(60, seed=7)]


@pytest.fixture(scope="module")
def moody_pipeline(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_moody(trained, tmp_path_factory.mktemp("moody") / "a=b")


@pytest.fixture(scope="module")
def changing(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that is replaced while it is served."""
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("changing") / "model"))


@pytest.fixture(scope="module")
def server(
    trained: Path, moody_pipeline: Path, changing: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Three pipelines within the default limits."""
    folder = tmp_path_factory.mktemp("server")
    pipelines = (f"first={trained}", f"moody={moody_pipeline}", f"changing={changing}")
    with serving(folder, *pipelines) as running:
        assert running.client.get("/health").status_code == 200
        get = running.client.get
        early = get("/ready"), get("/pipelines"), running.classify(text="好")
        assert [reply.status_code for reply in early] == [503, 503, 503]
        assert all(reply.headers["retry-after"] for reply in early)
        running.wait_for("ready")
        assert running.client.get("/ready").status_code == 200
        yield running


@pytest.fixture(scope="module")
def narrow(moody_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Tight limits and an API key."""
    limits = {"max_queue": 4, "max_texts": 4, "max_batch": 1, "max_length": 10, "max_body": 2000}
    folder = tmp_path_factory.mktemp("narrow")
    times = {"deadline": 1.0, "max_read": 1.0}
    with serving(folder, str(moody_pipeline), key="秘密", **limits, **times) as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="module")
def expected(trained: Path) -> dict[str, dict[str, float]]:
    return {doc.text: doc.cats for doc in spacy.load(trained).pipe(TEXTS)}


def scores(result: dict[str, Any]) -> dict[str, float]:
    return {item["label"]: item["score"] for item in result["labels"]}


def test_scores_are_those_of_the_pipeline(server: Running, expected: dict) -> None:
    reply = server.classify(texts=TEXTS).json()
    assert reply["pipeline"] == "first"
    for text, result in zip(TEXTS, reply["results"], strict=True):
        assert scores(result) == pytest.approx(expected[text], abs=1e-5)
        values = [item["score"] for item in result["labels"]]
        assert values == sorted(values, reverse=True)
    assert server.classify(texts=[]).json()["results"] == []


def test_a_request_chooses_what_it_is_told(server: Running, expected: dict) -> None:
    text = TEXTS[0]
    reply = server.classify(text=text, pipeline="moody", top_k=1, explain=True).json()
    (result,) = reply["results"]
    assert reply["pipeline"] == "moody"
    assert result["labels"][0]["score"] == pytest.approx(max(expected[text].values()), abs=1e-5)
    assert len(result["labels"]) == 1
    assert result["windows"] == 1
    assert result["pieces"] == result["pieces_read"] > 5
    (result,) = server.classify(text=text, threshold=0.5).json()["results"]
    assert [item["score"] > 0.5 for item in result["labels"]] == [True]
    assert "windows" not in result


def test_the_pipelines_are_described(server: Running, narrow: Running) -> None:
    found = server.client.get("/pipelines").json()
    assert [item["name"] for item in found["pipelines"]] == ["first", "moody", "changing"]
    first = {"name": "first", "labels": ["neg", "pos"], "exclusive": True, "threshold": None}
    first |= {"thresholds": None, "reads_rest": False, "explains": True}
    assert found["pipelines"][0] == first
    limits = httpx.get(f"{narrow.client.base_url}/pipelines").json()["limits"]
    assert limits == {
        **{"max_texts": 4, "max_length": 10, "max_body": 2000, "max_scores": 100_000},
        "max_explained": 500,
    }
    nlp = spacy.blank("zh")
    nlp.add_pipe("textcat_multilabel", config={"threshold": 0.3}).add_label("b")
    told = Pipeline(
        **{"name": "x", "labels": ["b"], "exclusive": False, "reads_rest": False},
        **{"threshold": 0.3, "thresholds": {"b": 0.3}, "explains": False},
    )
    assert describe("x", nlp) == told
    nlp.add_pipe("textcat").add_label("a")
    told.labels.append("a")
    assert describe("x", nlp) == told
    more = nlp.add_pipe("textcat_multilabel", "more", config={"threshold": 0.6})
    more.add_label("b")
    more.add_label("c")
    more.cfg["thresholds"] = {"b": 0.2}
    found = describe("x", nlp)
    assert (found.threshold, found.thresholds) == (0.6, {"b": 0.3, "c": 0.6})


def test_requests_are_computed_together(server: Running, expected: dict) -> None:
    count = 'bert_zh_batch_texts_count{pipeline="first"}'
    before = server.metric(count), server.metric("bert_zh_texts_total")
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        replies = list(pool.map(lambda text: server.classify(text=text), TEXTS))
    for text, reply in zip(TEXTS, replies, strict=True):
        assert scores(reply.json()["results"][0]) == pytest.approx(expected[text], abs=1e-5)
    assert 0 < server.metric(count) - before[0] < len(TEXTS) / 2
    assert server.metric("bert_zh_texts_total") - before[1] == len(TEXTS)
    assert server.metric('bert_zh_queue_texts{pipeline="first"}') == 0


def test_a_failing_text_does_not_fail_its_neighbours(server: Running) -> None:
    questions = [["好吃"], ["慢"], ["好吃", "坏了", "难吃", "真坏"], ["难吃"]]
    with ThreadPoolExecutor(len(questions)) as pool:
        replies = list(
            pool.map(lambda texts: server.classify(texts=texts, pipeline="moody"), questions)
        )
    assert [reply.status_code for reply in replies] == [200, 200, 422, 200]
    problems = replies[2].json()["detail"]
    assert [problem["loc"] for problem in problems] == [["body", "texts", 1], ["body", "texts", 3]]
    assert problems[0]["msg"] == "the pipeline fails on this text"


BAD_BODIES = {
    "no JSON": b'{"text": "a"',
    "GB18030": '{"text": "好吃"}'.encode("gb18030"),
    "not an object": b"[]",
    "nothing": b"",
    "nested": b"[" * 200_000,
    "NaN": b'{"text": "a", "threshold": NaN}',
    "infinite": b'{"text": "a", "threshold": 1e999}',
    "huge": b'{"text": "a", "top_k": %s}' % (b"9" * 5000),
    "large threshold": b'{"text": "a", "threshold": 1%s}' % (b"0" * 400),
    "lone surrogate": rb'{"text": "a\ud800"}',
    "two texts": b'{"text": "a", "texts": ["b"]}',
    "no text": b"{}",
    "number": b'{"texts": [1]}',
    "misspelt": b'{"text": "a", "topk": 1}',
    "misspelt surrogate": rb'{"text": "a", "\ud800": 1}',
    "unknown pipeline": rb'{"text": "a", "pipeline": "\ud800"}',
    "top_k": b'{"text": "a", "top_k": 0}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_the_clients_fault(name: str, server: Running) -> None:
    headers = {"Content-Type": "application/json"}
    reply = server.client.post("/classify", content=BAD_BODIES[name], headers=headers)
    assert reply.status_code in (400, 422)
    assert reply.json()["detail"]
    assert '"input"' not in reply.text
    if name == "lone surrogate":
        assert "character 1 is half of a surrogate pair" in reply.json()["detail"][0]["msg"]


def test_what_is_odd_but_right_is_answered(server: Running) -> None:
    for text in ("", "\x00", "👍🏽\u200d\u202e", "\ufeff好", "a" * 20_000):
        assert server.classify(text=text).status_code == 200
    assert server.classify(text="好", top_k=10**400).status_code == 200


def test_the_openapi_document_describes_it(server: Running) -> None:
    document = server.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    paths = {"/classify", "/explain", "/pipelines", "/health", "/ready", "/metrics"}
    assert document["paths"].keys() == paths
    body = document["paths"]["/classify"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"] == "#/components/schemas/Question"
    schemas = document["components"]["schemas"]
    assert set(schemas["Question"]["properties"]) >= {"text", "texts", "top_k", "threshold"}
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(document)):
        assert name in schemas
    assert server.client.get("/docs").status_code == 200


def test_a_full_queue_refuses_at_once(narrow: Running) -> None:
    with ThreadPoolExecutor(24) as pool:
        first = pool.submit(narrow.classify, texts=["慢"] * 2 + ["好"])
        time.sleep(0.1)
        whole = narrow.classify(texts=["好"] * 3)
        assert (whole.status_code, whole.json()) == (503, {"detail": "the queue is full"})
        assert first.result().status_code == 200
        replies = [pool.submit(narrow.classify, text="慢") for _ in range(20)]
        time.sleep(0.15)
        waiting = [narrow.metric('bert_zh_queue_texts{pipeline="a=b"}') for _ in range(9)]
    codes = [reply.result().status_code for reply in replies]
    assert max(waiting) <= 4
    # In a second three are computed; the rest of those accepted are dropped at their deadline.
    assert codes.count(503) >= 10
    assert codes.count(200) >= 1
    assert set(codes) <= {200, 503, 504}
    refused = next(reply.result() for reply in replies if reply.result().status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert refused.elapsed.total_seconds() < 1
    assert narrow.metric('bert_zh_queue_texts{pipeline="a=b"}') == 0


def test_after_the_deadline_its_texts_are_dropped(narrow: Running) -> None:
    count = 'bert_zh_batch_texts_count{pipeline="a=b"}'
    before = narrow.metric(count)
    reply = narrow.classify(texts=["慢慢", "慢慢", "慢慢", "慢慢"])
    assert reply.status_code == 504
    assert reply.elapsed.total_seconds() < 1.5
    assert narrow.classify(text="好").status_code == 200
    assert narrow.metric(count) - before <= 3


def test_too_much_is_refused(narrow: Running) -> None:
    assert narrow.classify(texts=["好"] * 4).status_code == 200
    many = narrow.classify(texts=["好"] * 5)
    assert many.status_code == 422
    assert many.json()["detail"][0]["msg"] == "5 texts are more than 4"
    long = narrow.classify(texts=["好", "好" * 11])
    assert long.status_code == 422
    assert long.json()["detail"][0]["loc"] == ["body", "texts", 1]
    for content in (b"x" * 3000, iter([b"x" * 1500] * 2), b"x" * 5_000_000):
        reply = narrow.client.post("/classify", content=content)
        assert reply.status_code == 413
        assert reply.json()["detail"] == "the body has more than 2000 bytes"


def test_a_slow_body_is_not_waited_for(narrow: Running) -> None:
    url = narrow.client.base_url
    head = f"POST /classify HTTP/1.1\r\nHost: {url.host}\r\nX-API-Key: 秘密\r\n"
    with socket.create_connection((url.host, url.port or 0)) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        connection.settimeout(5)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_only_who_has_the_key_is_answered(narrow: Running) -> None:
    def status(**headers: bytes) -> int:
        named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        return httpx.post(url, json={"text": "好"}, headers=named).status_code

    url = f"{narrow.client.base_url}/classify"
    key = "秘密".encode()
    assert status() == status(X_API_Key=b"") == status(X_API_Key=key[:-1]) == 401
    assert status(Authorization=b"Basic " + key) == status(Authorization=key) == 401
    assert status(Authorization=b"Bearer " + key) == status(X_API_Key=key) == 200
    refused = httpx.post(url, content=b"x" * 10_000)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert httpx.get(f"{narrow.client.base_url}/ready").status_code == 200


def test_a_reload_drops_no_request(server: Running, changing: Path, tmp_path: Path) -> None:
    def ask() -> httpx.Response:
        return server.classify(text="好吃", pipeline="changing")

    def ask_until(event: str) -> set[int]:
        """Send SIGHUP, and requests until it has had its effect; their statuses."""
        with ThreadPoolExecutor(1) as pool:
            server.process.send_signal(signal.SIGHUP)
            watch = pool.submit(server.wait_for, event)
            codes = {ask().status_code}
            while not watch.done():
                codes.add(ask().status_code)
            watch.result()
        return codes

    before = ask().json()
    nlp = spacy.load(changing)
    shutil.move(changing / "config.cfg", tmp_path / "config.cfg")
    assert ask_until("reload failed") == {200}
    assert ask().json() == before
    nlp.get_pipe("bert_textcat").model.get_ref("output_layer").get_param("b")[:] += [3, -3]
    nlp.to_disk(changing)
    assert ask_until("reloaded") == {200}
    (after,) = ask().json()["results"]
    assert scores(after) == pytest.approx(nlp("好吃").cats, abs=1e-5)
    assert after != before["results"][0]


def test_no_text_stands_in_the_log(server: Running, narrow: Running) -> None:
    for running in (server, narrow):
        running.classify(text="坏透了", pipeline="moody" if running is server else None)
        running.client.post("/classify", content='{"text": "透了"'.encode())
        log = running.log.read_text("utf-8")
        assert "RuntimeError" in log
        lines = [line for line in running.lines() if line.get("path") == "/classify"]
        assert lines
        assert all(line.keys() >= {"method", "status", "texts", "ms"} for line in lines)
        told = json.dumps(running.lines(), ensure_ascii=False)
        assert not [word for word in (*TEXTS, "透", "好吃", "秘密") if word in told]
        assert "internal error" not in told


# The last one, for it ends the server.
def test_accepted_requests_are_answered_before_the_end(server: Running) -> None:
    def ask(_: int) -> int:
        return server.classify(text="慢", pipeline="moody").status_code

    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(ask, range(6))
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        ready, late = server.client.get("/ready"), server.classify(text="好")
        assert (ready.status_code, late.status_code) == (503, 503)
        assert late.json() == {"detail": "stopping"}
    assert list(replies) == [200] * 6
    assert server.process.wait(30) == 0
