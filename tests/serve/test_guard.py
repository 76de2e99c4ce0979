"""Who has no key gets no classification, however the request is written."""

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import pytest
import spacy

from spacy_bert_zh.retrieve import Entry, Retriever
from spacy_bert_zh.retrieve.words import Words
from spacy_bert_zh.serve import Limits
from spacy_bert_zh.serve.app import make_app
from spacy_bert_zh.serve.routes import OPEN
from spacy_bert_zh.serve.service import Service
from tests.serve.serving import Running, receive_all, save_stock, serving

KEY = "秘密".encode()
BODY = json.dumps({"text": "好"}).encode()
SEEDS = ["/classify"] * 6 + [
    *["/explain"] * 3,
    *["/search"] * 3,
    "/",
    "/health",
    "/metrics",
    "/docs",
    "/page/page.js",
    "/pipelines",
    "*",
]
# What confuses those who read a path, and those who read it a second time.
PIECES = [
    *("%0A", "%0a", "%0D%0A", "%00", "%09", "%20", "%0B", "%0C", "%1F", "%7F", "%85", "%C2%85"),
    *("%E2%80%A8", "%E2%80%A9", "%250A", "%25%30%41", "%C0%8A", "%u000A", "%", "%0", "%FF"),
    *("/", "//", "/.", "/./", "/..", "/../", "%2e", "%2E%2E", "%2f", "%2F", "%252F", "%5C", "\\"),
    *(";", ";x", ";x=1", "?", "?a=b", "#", "%23", "%3F", "&", "+", "~", ":", "@", "*", "!", "."),
    *("classify", "health", "page", "docs", "openapi.json", "/classify", "/health", "a", "C", "é"),
    *(
        "explain",
        "/explain",
        "search",
        "find",
        "%EF%BC%8F",
        "%E2%88%95",
        "%E2%80%8B",
        "%EF%BB%BF",
        "%63",
        "%2Fclassify",
        "%6C",
        "%2563",
    ),
]
METHODS = ["POST"] * 8 + ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"]
METHODS += ["post", "Post", "POST ", "CONNECT"]
HEADERS = [
    *((b"authorization", b"Bearer"), (b"authorization", b"Bearer "), (b"authorization", b"")),
    *((b"authorization", b"Bearer \xff"), (b"authorization", b"Basic " + KEY)),
    *((b"x-api-key", b""), (b"x-api-key", KEY[:-1]), (b"x-api-key", KEY + b"x")),
    *((b"x-original-url", b"/classify"), (b"x-rewrite-url", b"/health")),
    *((b"x-forwarded-prefix", b"/classify"), (b"x-forwarded-for", b"127.0.0.1")),
    *((b"x-http-method-override", b"POST"), (b"host", b"localhost"), (b"expect", b"100-continue")),
    *((b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"content-type", b"text/plain")),
]
ROOTS = [""] * 6 + ["/", "/classify", "/health", "/a", "/page", "//"]


def make_target(draw: random.Random) -> str:
    """A request's target: a path of ours with a few changes."""
    target = draw.choice(SEEDS)
    for _ in range(draw.choice([0, 1, 1, 1, 2, 2, 3])):
        place = draw.choice([0, len(target), len(target), draw.randrange(len(target) + 1)])
        target = target[:place] + draw.choice(PIECES) + target[place:]
    if draw.random() < 0.1:
        place = draw.randrange(len(target) or 1)
        target = target[:place] + target[place:].swapcase()
    if draw.random() < 0.05:
        target = draw.choice(["http://a", "http://a/health", "//a", "https:/", ""]) + target
    return target


def make_scope(draw: random.Random) -> dict[str, Any]:
    """What a server could make of a request: its path decoded once, not at all or twice."""
    target = make_target(draw)
    path, _, query = target.partition("?")
    decoded = draw.choice([unquote(path), unquote(path), path, unquote(unquote(path))])
    root = draw.choice(ROOTS)
    return {
        "type": "http" if draw.random() < 0.97 else "websocket",
        "asgi": {"version": "3.0"},
        "http_version": draw.choice(["1.1", "1.0", "2"]),
        "scheme": "http",
        "method": draw.choice(METHODS),
        "path": draw.choice([decoded, root + decoded]),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": root,
        "headers": [(b"content-type", b"application/json"), *draw.choices(HEADERS, k=2)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **({"state": {"body": BODY, "guarded": True}} if draw.random() < 0.1 else {}),
    }


class Spy:
    """Stands for what computes; remembers who has come so far."""

    def __init__(self) -> None:
        self.nlp = spacy.blank("zh")
        self.asked = 0

    async def classify(self, texts: Sequence[str], finish: Callable) -> list[bytes]:
        self.asked += len(texts)
        return [b"{}" for _ in texts]

    async def alone(self, work: Callable) -> bytes:
        self.asked += 1
        return b"{}"


class SpiedFolder:
    """Stands for what searches, in the same memory."""

    def __init__(self, spy: Spy) -> None:
        self.nlp = Retriever([Entry(text="好")], Words.build(["好"]))
        self.spy = spy

    async def search(self, question: Any, name: str) -> bytes:
        self.spy.asked += 1
        return b"{}"


async def send_request(app: Any, scope: dict[str, Any]) -> dict[str, Any]:
    """Ask the application; the beginning of its answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]


def make_spied() -> tuple[Any, Spy, Service]:
    service, spy = Service([], Limits()), Spy()
    service.batchers = {"spy": spy}  # type: ignore[dict-item]
    service.searchers = {"spy": SpiedFolder(spy)}  # type: ignore[dict-item]
    return make_app(service, KEY), spy, service


@pytest.mark.parametrize(
    "count", [3000, pytest.param(100_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_no_way_leads_past_the_guard(count: int) -> None:
    app, spy, service = make_spied()
    draw = random.Random(count)
    statuses: Counter[int] = Counter()

    async def fuzz() -> None:
        for _ in range(count):
            scope = make_scope(draw)
            told = await send_request(app, scope)
            headers = dict(told.get("headers", []))
            assert b"location" not in headers
            statuses[told.get("status", 0)] += 1
            assert spy.asked == 0, scope

    asyncio.run(fuzz())
    assert set(statuses) <= {0, 200, 401, 404, 405}
    # Many came to the guard, and were refused there.
    assert statuses[401] > count / 20
    assert service.active == 0


def ask(app: Any, path: str, method: str = "POST", key: bytes = KEY, **more: Any) -> dict[str, Any]:
    headers = [(b"content-type", b"application/json"), (b"x-api-key", key)]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "root_path": ""}
    scope |= {"query_string": b"", "http_version": "1.1", "server": ("a", 80), "scheme": "http"}
    return asyncio.run(send_request(app, {**scope, **more}))


def test_the_right_way_leads_in() -> None:
    app, spy, _ = make_spied()
    assert ask(app, "/classify")["status"] == 200
    assert ask(app, "/a/classify", root_path="/a")["status"] == 200
    assert ask(app, "/explain")["status"] == 200
    assert ask(app, "/search")["status"] == 200
    assert spy.asked == 4
    assert ask(app, "/classify", key=b"")["status"] == 401
    assert ask(app, "/explain", key=b"")["status"] == 401
    assert ask(app, "/search", key=b"")["status"] == 401
    assert spy.asked == 4


@pytest.mark.parametrize("end", ["\n", "\r", "\x00", "\x7f", "\x85", "\u2028", "\t", "/", " "])
def test_a_path_that_is_not_ours_is_not_found(end: str) -> None:
    app, spy, _ = make_spied()
    for path in ("/classify", "/health", "/pipelines", "/docs"):
        assert ask(app, path + end)["status"] == 404
    assert spy.asked == 0


def test_all_routes_are_guarded_but_those_of_a_list() -> None:
    app, _, service = make_spied()
    kinds = {type(route) for route in app.routes}
    assert kinds == {app.router.route_class}
    names = {route.name for route in app.routes}
    assert names == OPEN | {"classify", "explain", "search"}

    @app.post("/forgotten")
    async def forgotten() -> str:
        return "nobody thought of a key"

    assert ask(app, "/forgotten", key=b"")["status"] == 401
    service.stop()
    assert ask(app, "/forgotten")["status"] == 503


def test_what_did_not_pass_the_guard_has_no_body_to_classify() -> None:
    app, spy, _ = make_spied()
    (classify,) = (route for route in app.routes if route.name == "classify")
    classify.name = "health"  # the worst mistake that could be made
    told = ask(app, "/classify", key=b"", state={"body": BODY})
    assert told["status"] == 500
    assert spy.asked == 0


def test_methods() -> None:
    app, spy, _ = make_spied()
    open_paths = "/health", "/ready", "/metrics", "/pipelines", "/docs", "/find", "/"
    for path in (*open_paths, "/openapi.json"):
        assert ask(app, path, "HEAD")["status"] == ask(app, path, "GET")["status"] == 200
        refused = ask(app, path, "POST")
        assert refused["status"] == 405
        assert (b"allow", b"GET, HEAD") in refused["headers"]
    for path in ("/classify", "/explain", "/search"):
        for method in ("GET", "HEAD", "OPTIONS", "PUT"):
            refused = ask(app, path, method)
            assert refused["status"] == 405
            assert (b"allow", b"POST") in refused["headers"]
            assert ask(app, path, method, key=b"")["status"] == 401
    assert spy.asked == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("guard")
    with serving(folder, str(save_stock(folder / "stock")), key=KEY.decode()) as running:
        running.wait_for("ready")
        yield running


@pytest.mark.parametrize(
    "count", [300, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_no_request_as_bytes_gets_past_it(count: int, server: Running) -> None:
    draw = random.Random(count)
    url = server.client.base_url
    statuses: Counter[bytes] = Counter()
    for _ in range(count):
        target = draw.choice([make_target(draw), unquote(make_target(draw))])
        extra = [b"%s: %s\r\n" % header for header in draw.choices(HEADERS, k=2)]
        request = b"%s %s HTTP/1.%d\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n"
        parts = draw.choice(METHODS).encode(), target.encode(), draw.choice([0, 1, 1, 1])
        head = request % (
            *parts,
            b"".join([b"Content-Type: application/json\r\n", *extra]),
            len(BODY),
        )
        with socket.create_connection((url.host, url.port or 0), timeout=20) as connection:
            connection.sendall(head + BODY)
            answer = receive_all(connection)
        assert b'"given":[' not in answer and b'"pipeline"' not in answer
        statuses[answer[9:12]] += 1
    assert statuses[b"401"] > count / 20
    assert not {status for status in statuses if status.startswith((b"5", b"3"))}
    assert server.metric("bert_zh_texts_total") == 0
    assert server.metric('bert_zh_batch_texts_count{pipeline="stock"}') == 0


def test_who_has_the_key_is_answered(server: Running) -> None:
    assert server.classify(text="好").status_code == 200
