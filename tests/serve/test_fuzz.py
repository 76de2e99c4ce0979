"""Whatever comes over HTTP is answered or ended: no 500, no hang."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_bert_zh.retrieve import Options, build
from tests.retrieve.tables import FAQ, write
from tests.serve.serving import Running, receive_all, serving

MAX_READ = 1.0


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    sizes = {"max_body": 20_000, "max_length": 500, "max_texts": 8, "max_explained": 40}
    folder = tmp_path_factory.mktemp("fuzz")
    build(write(folder / "faq.jsonl", FAQ), folder / "faq", Options("question", "answer"))
    sources = str(trained), str(folder / "faq")
    with serving(folder, *sources, max_read=MAX_READ, deadline=5.0, **sizes) as running:
        running.wait_for("ready")
        yield running
        # After all of it, the server is well and has nothing to hide.
        assert running.classify(text="好吃").status_code == 200
        assert running.metric('bert_zh_queue_texts{pipeline="model-best"}') == 0
        errors = [line for line in running.lines() if line["level"] == "error"]
        assert not errors, errors[0]


FUZZING = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def test_the_interface_keeps_what_its_document_says(server: Running, tmp_path: Path) -> None:
    """Requests as the document allows them, and as it doesn't; replies as it describes them."""
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("schemathesis is not installed")
    words = ["--checks", "all", "--max-examples", "40", "--seed", "0", "--request-timeout", "10"]
    done = subprocess.run(
        [program, "run", f"{server.client.base_url}/openapi.json", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, re.sub(r"(.{99}).{999,}", r"\1…", done.stdout)[-5000:]
    assert {"POST /classify", "POST /explain", "POST /search"} <= server_paths(server)


def server_paths(server: Running) -> set[str]:
    """What was really asked for, by the server's log."""
    return {f"{line['method']} {line['path']}" for line in server.lines() if "path" in line}


@FUZZING
@given(
    body=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("gb18030"))
)
@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "application/json; charset=gbk"]
)
@pytest.mark.parametrize("path", ["/classify", "/explain", "/search"])
def test_any_bytes_are_the_clients_fault(
    path: str, kind: str, body: bytes, server: Running
) -> None:
    headers = {"Content-Type": kind}
    reply = server.client.post(path, content=body, headers=headers)
    assert reply.status_code in ((415,) if kind == "text/plain" else (400, 422))
    assert reply.json()["detail"]


def nested(depth: int) -> bytes:
    return b'{"texts": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (nested(9_000), 400),
        (b'{"text": "' + b"a" * 19_900 + b'"}', 422),
        (b'{"text": "' + b"a" * 30_000 + b'"}', 413),
        (b'{"top_k": 1' + b"0" * 10_000 + b', "text": "a"}', 400),
        (b'{"text": "a", "threshold": 1e999}', 422),
        (b'{"text": "a", "threshold": NaN}', 422),
        # Not what RFC 8259 wants, but what some send; there is no doubt what they mean.
        ('{"text": "好"}'.encode("utf-16"), 200),
        (b'\xef\xbb\xbf{"text": "a"}', 200),
    ],
    ids=["deep", "long", "large", "number", "infinity", "nan", "utf-16", "bom"],
)
def test_odd_json(body: bytes, status: int, server: Running) -> None:
    headers = {"Content-Type": "application/json"}
    reply = server.client.post("/classify", content=body, headers=headers)
    assert reply.status_code == status, reply.text


def connect(server: Running) -> socket.socket:
    url = server.client.base_url
    connection = socket.create_connection((url.host, url.port or 0))
    connection.settimeout(10)
    return connection


REQUEST = b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 70_000, b"400"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, b"400"),
        (REQUEST + b"Content-Length: -1\r\n\r\n", b"400"),
        (REQUEST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (REQUEST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", b"400"),
    ],
    ids=["tls", "version", "path", "headers", "length", "both", "chunk"],
)
def test_what_is_no_http_is_refused(sent: bytes, status: bytes, server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        assert receive_all(connection)[9:12] == status


@pytest.mark.parametrize(
    "beginning", [b"", b"POST /classify HT", REQUEST, REQUEST + b"Content-Length: 50\r\n\r\n{"]
)
def test_slow_clients_are_not_waited_for(beginning: bytes, server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(beginning)
        begin = time.monotonic()
        answer = receive_all(connection)
        assert time.monotonic() - begin < MAX_READ + 2
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        (b"\r\n", b"\r\n"),
        (b"Content-Length: 1000000\r\n\r\n", b"a"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    ],
    ids=["line ends", "body", "trailers"],
)
def test_who_drips_after_its_answer_is_not_waited_for(
    headers: bytes, after: bytes, server: Running
) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + headers)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        begin = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < begin + 10:
                connection.sendall(after)
                time.sleep(0.02)
        assert time.monotonic() - begin < 3 * MAX_READ


def test_a_connection_is_kept_between_requests(server: Running) -> None:
    with connect(server) as connection:
        for _ in range(3):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while b"alive" not in answer:
                answer += connection.recv(4096)
            assert b"200 OK" in answer
            time.sleep(MAX_READ * 1.2)


def test_who_drips_its_headers_is_not_waited_for(server: Running) -> None:
    with connect(server) as connection, pytest.raises(OSError):
        for _ in range(100):
            connection.sendall(b"a")
            time.sleep(0.05)
    assert server.client.get("/health").status_code == 200


def test_who_does_not_read_is_not_waited_for(server: Running) -> None:
    """Pipelined requests whose answers nobody takes: the server lets go of them."""
    request = b"GET /page/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    url = server.client.base_url
    connection.connect((url.host, url.port or 0))
    connection.settimeout(0.5)
    begin = time.monotonic()
    with connection, pytest.raises(ConnectionError):
        while time.monotonic() < begin + 60:
            try:
                connection.send(request)
            except TimeoutError:
                continue


def test_clients_that_go_leave_nothing(server: Running) -> None:
    body = json.dumps({"texts": ["好"] * 8}).encode()
    for _ in range(20):
        with connect(server) as connection:
            connection.sendall(REQUEST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    for _ in range(100):
        if server.metric('bert_zh_queue_texts{pipeline="model-best"}') == 0:
            break
        time.sleep(0.1)
    assert httpx.get(f"{server.client.base_url}/ready").status_code == 200
