"""`serve` on Ray: the same answers as without it, from several replicas."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import spacy

from spacy_bert_zh.errors import BertZhError
from tests.conftest import make_rows

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytest.importorskip("ray.data", reason="the extra 'ray' is not installed")
KEY = {b"X-API-Key": "秘密".encode()}


@pytest.fixture(scope="module")
def server(
    trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen, httpx.Client]]:
    """Two replicas with a key and a short queue."""
    log = tmp_path_factory.mktemp("server") / "log"
    words = ["serve", f"ours={trained}", "--ray", "--replicas", "2", "--port", "0"]
    command = [
        sys.executable,
        "-m",
        "spacy_bert_zh",
        *words,
        "--max-queue",
        "8",
        "--max-texts",
        "8",
    ]
    environment = {**os.environ, "SPACY_BERT_ZH_API_KEY": "秘密"}
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env=environment)
    try:
        found = None
        for _ in range(1200):
            if found := re.search(r'"event": "ready", .*"port": (\d+)', log.read_text("utf-8")):
                break
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.1)
        assert found, log.read_text("utf-8")
        pool = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        address = f"http://127.0.0.1:{found[1]}"
        with httpx.Client(base_url=address, headers=KEY, timeout=30, limits=pool) as client:
            yield process, client
    finally:
        # Not killed: it would leave Ray's processes.
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_replicas_answer_as_the_pipeline_does(server: tuple, trained: Path) -> None:
    _, client = server
    texts = [text for text, _ in make_rows(60, seed=7)]

    def ask(text: str) -> dict[str, Any]:
        reply = client.post("/classify", json={"text": text})
        assert reply.status_code == 200, reply.text
        return reply.json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, texts))
    for answer, doc in zip(answers, spacy.load(trained).pipe(texts), strict=True):
        assert answer["pipeline"] == "ours"
        (result,) = answer["results"]
        scores = {item["label"]: item["score"] for item in result["labels"]}
        assert scores == pytest.approx(doc.cats, abs=1e-5)
    # Whichever replica tells its number: the others have answered the rest.
    found = re.search(r"^bert_zh_texts_total (.+)$", client.get("/metrics").text, re.M)
    assert found and 0 < float(found[1]) < 60


def test_a_replica_has_all_that_a_server_has(server: tuple) -> None:
    _, client = server
    for path in ("/health", "/ready", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
    assert client.post("/classify", json={"texts": ["好"] * 9}).status_code == 422
    assert client.post("/classify", content=b"x" * 1_000_001).status_code == 413
    refused = client.post("/classify", json={"text": "好"}, headers={"X-API-Key": "no"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for path in ("/classify%0A", "/classify%0D", "//classify", "/classify/", "/%63lassify%0A"):
        reply = httpx.post(f"{client.base_url}{path}", json={"text": "好"})
        assert reply.status_code == 404, path
    assert httpx.post(f"{client.base_url}/%63lassify", json={"text": "好"}).status_code == 401
    assert client.head("/health").status_code == 200


def test_too_much_is_refused_at_once(server: tuple) -> None:
    _, client = server

    def ask(_: int) -> httpx.Response:
        return client.post("/classify", json={"texts": ["米饭" * 2000] * 4})

    with ThreadPoolExecutor(48) as pool:
        replies = list(pool.map(ask, range(96)))
    codes = [reply.status_code for reply in replies]
    assert set(codes) == {200, 503}
    assert client.post("/classify", json={"text": "好"}).status_code == 200


def test_what_ray_is_told(tmp_path: Path) -> None:
    from spacy_bert_zh.serve.deployment import Arguments, build, parse_replicas

    assert build(Arguments(pipelines="a=b,c", replicas=2))  # type: ignore[arg-type]
    assert Arguments(pipelines=["a"], max_batch=8, max_wait=0.1, max_length=9).max_length == 9
    assert Arguments(pipelines="a=b,c").pipelines == ["a=b", "c"]  # type: ignore[arg-type]
    assert parse_replicas("3") == (3, 3)
    assert parse_replicas("1-4") == (1, 4)
    for wrong in ("0", "2-1", "", "1-", "many"):
        with pytest.raises(BertZhError, match="--replicas"):
            parse_replicas(wrong)
    with pytest.raises(ValueError, match="max_que"):
        Arguments(pipelines=["a"], max_que=1)  # type: ignore[call-arg]


# The last one, for it ends the server.
def test_accepted_requests_are_answered_before_the_end(server: tuple) -> None:
    process, client = server

    def ask(_: int) -> int:
        return client.post("/classify", json={"texts": ["米饭" * 8000] * 2}).status_code

    with ThreadPoolExecutor(4) as pool:
        replies = pool.map(ask, range(4))
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert list(replies) == [200] * 4
    assert process.wait(60) == 0
