"""What keeps a server from starting, and what it says of an error."""

import asyncio
import json
import socket
import sys
from pathlib import Path

import httpx
import pytest
import spacy

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.serve import Limits, serve
from spacy_bert_zh.serve.guard import Record
from spacy_bert_zh.serve.metrics import Metrics
from spacy_bert_zh.serve.server import JsonLines, listen
from spacy_bert_zh.serve.service import load_all
from tests.serve.serving import serving


def test_what_cannot_be_served_is_said(tmp_path: Path) -> None:
    spacy.blank("zh").to_disk(tmp_path / "blank")
    nlp = spacy.blank("zh")
    nlp.add_pipe("textcat_multilabel").add_label("a")
    nlp.initialize()
    nlp.to_disk(tmp_path / "stock")
    with pytest.raises(BertZhError, match=r"blank' has no text classifier"):
        load_all([str(tmp_path / "blank")])
    with pytest.raises(BertZhError, match="Two pipelines are named 'a'"):
        load_all([f"a={tmp_path / 'stock'}"] * 2)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BertZhError, match=r"Can't listen at 127\.0\.0\.1, port"),
    ):
        listen("127.0.0.1", taken.getsockname()[1])


def test_answers_do_not_wait_for_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_server_ends_if_it_cannot_load(tmp_path: Path) -> None:
    with serving(tmp_path, str(tmp_path / "none")) as running:
        assert running.process.wait(10) == 1
        last = running.log.read_text("utf-8").splitlines()[-1]
        assert "BertZhError: Can't load the pipeline" in last


def test_impossible_limits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BertZhError, match="deadline = nan must be greater than 0"):
        Limits(deadline=float("nan"))
    with pytest.raises(BertZhError, match="max_texts = 256 is more than max_queue = 4 can hold"):
        Limits(max_queue=4)
    monkeypatch.setitem(sys.modules, "spacy_bert_zh.serve.server", None)
    with pytest.raises(BertZhError, match=r"serve needs the package .* pip install .*\[serve\]"):
        serve(["anything"])


def test_an_unexpected_error_is_told_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("a text")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(lambda scope, *rest: app({**scope, "state": {}}, *rest))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/classify")

    app = Record(broken, Metrics())
    reply = asyncio.run(ask())
    assert (reply.status_code, reply.json()) == (500, {"detail": "internal error"})
    line = JsonLines().format(caplog.records[0])
    assert "a text" not in json.dumps({**json.loads(line), "where": ""})
    assert json.loads(line)["error"] == "RuntimeError"
