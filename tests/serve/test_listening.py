"""The server as a command, and what its sockets bear."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import spacy

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.serve.protocol import MAX_HEADERS
from spacy_bert_zh.serve.service import load_all, own_name
from tests.serve.serving import Running, save_stock

OPTIONS = ["--port", "0", "--max-batch", "2", "--max-wait", "0.3", "--max-length", "50"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The command, with one pipeline and options of its own."""
    folder = tmp_path_factory.mktemp("listening")
    words = ["serve", str(save_stock(folder / "新闻")), *OPTIONS]
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "spacy_bert_zh", *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "SPACY_BERT_ZH_API_KEY": "", "PYTHONUTF8": "1"},
        )
    try:
        assert process.stdout
        url = process.stdout.readline().decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url), log.read_text("utf-8")
        with httpx.Client(base_url=url, timeout=30) as client:
            running = Running(process, client, log)
            running.wait_for("ready")
            yield running
    finally:
        process.kill()
        process.wait()


def connect(server: Running) -> socket.socket:
    url = server.client.base_url
    connection = socket.create_connection((url.host, url.port or 0), timeout=20)
    return connection


def receive(connection: socket.socket, end: str = "HTTP/1.1 ", count: int = 1) -> bytes:
    """What comes until a pattern is found so many times, or until its end."""
    received = b""
    try:
        while len(re.findall(end.encode(), received)) < count and (more := connection.recv(65_536)):
            received += more
    except ConnectionError:
        pass
    return received


def test_options_are_obeyed(server: Running) -> None:
    assert server.client.get("/pipelines").json()["limits"]["max_length"] == 50
    assert server.classify(text="好" * 51).status_code == 422
    begin = time.monotonic()
    assert server.classify(text="好").status_code == 200
    assert time.monotonic() - begin > 0.29
    assert server.classify(texts=["好"] * 4).status_code == 200
    assert server.metric('bert_zh_batch_texts_bucket{le="2.0",pipeline="新闻"}') == 3


def test_a_pipeline_is_called_as_its_folder(server: Running) -> None:
    assert server.classify(text="好").json()["pipeline"] == "新闻"


def test_two_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    one, other = (
        save_stock(tmp_path / "a" / "model-best"),
        save_stock(tmp_path / "b" / "model-best"),
    )
    with pytest.raises(BertZhError) as error:
        load_all([str(one), str(other)])
    assert f"'model-best-2={other}'" in str(error.value)
    assert list(load_all([str(one), f"model-best-2={other}"])) == ["model-best", "model-best-2"]
    broken = tmp_path / os.fsdecode(b"\xff")
    broken.symlink_to(one)
    with pytest.raises(BertZhError, match="is no UTF-8: give the pipeline another name, NAME="):
        load_all([str(broken)])
    nlp = spacy.blank("zh", meta={"name": "news"})
    assert own_name("zh_news", nlp) == "zh_news"
    assert own_name(f"{one}/", nlp) == own_name(f"{one}/../model-best", nlp) == "model-best"


def test_latencies_are_counted(server: Running) -> None:
    server.classify(text="好")
    told = server.client.get("/metrics").text
    assert "# TYPE bert_zh_request_seconds histogram" in told
    name = 'bert_zh_request_seconds_bucket{le="+Inf",status="200"}'
    assert server.metric(name) == server.metric('bert_zh_requests_total{status="200"}') > 0


def test_no_answer_names_the_host_of_its_request(server: Running) -> None:
    for path in ("/classify/", "/docs/", "/page", "/health/"):
        reply = server.client.get(path, headers={"Host": "evil.example"})
        assert reply.status_code in (404, 405)
        assert "evil" not in reply.text + str(reply.headers)


HEAD = b"GET /health HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("step", [10**9, 3000], ids=["at once", "bit by bit"])
@pytest.mark.parametrize("one", [True, False], ids=["one", "many"])
def test_large_headers_are_refused_however_they_come(step: int, one: bool, server: Running) -> None:
    for size, status in (
        (MAX_HEADERS - 2000, b"200"),
        (MAX_HEADERS + 2000, b"400"),
        (10**5, b"400"),
    ):
        filling = (
            b"A: " + b"a" * size if one else b"\r\n".join([b"B: " + b"b" * 95] * (size // 100))
        )
        request = HEAD + filling + b"\r\n\r\n"
        with connect(server) as connection:
            try:
                for start in range(0, len(request), step):
                    connection.sendall(request[start : start + step])
            except OSError:
                assert status == b"400"
            answer = receive(connection)
            assert answer[9:12] == status or (status == b"400" and not answer)


@pytest.mark.parametrize("step", [10**9, 3000], ids=["at once", "bit by bit"])
def test_requests_that_do_not_wait_are_answered_in_their_order(step: int, server: Running) -> None:
    body = json.dumps({"text": "好", "explain": True}).encode()
    post = b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    post += b"X: " + b"x" * 900 + b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    get = HEAD + b"Y: " + b"y" * 900 + b"\r\n\r\n"
    requests = (get * 30 + post) * 3
    assert len(requests) > 2 * MAX_HEADERS
    with connect(server) as connection:
        for start in range(0, len(requests), step):
            connection.sendall(requests[start : start + step])
        answers = receive(connection, "alive|results", 93)
    kinds = re.findall(rb"alive|results", answers)
    assert kinds == ([b"alive"] * 30 + [b"results"]) * 3


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_exhausted_descriptors_are_said_once(server: Running) -> None:
    number = server.process.pid
    before = resource.prlimit(number, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{number}/fd"))
    size = server.log.stat().st_size
    resource.prlimit(number, resource.RLIMIT_NOFILE, (used + 10, before[1]))
    crowd = [connect(server) for _ in range(100)]
    server.wait_for("no free file descriptors")
    time.sleep(3)
    for connection in crowd:
        connection.close()
    resource.prlimit(number, resource.RLIMIT_NOFILE, before)
    assert httpx.get(f"{server.client.base_url}/health", timeout=30).status_code == 200
    told = server.log.read_bytes()[size:].decode().splitlines()
    assert len([line for line in told if '"level": "error"' in line]) <= 2
    assert len(told) < 20
