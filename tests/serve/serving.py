"""A server in a process of its own, and a pipeline that makes trouble on demand."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import spacy
from spacy.language import Language
from spacy.tokens import Doc

# A pipeline with moods: it takes its time for some texts and fails on others, quoting them.
MOODY = """
import time
from spacy.language import Language

@Language.component("moody")
def moody(doc):
    time.sleep(0.3 * doc.text.count("慢"))
    if "坏" in doc.text:
        raise RuntimeError(doc.text)
    return doc
"""
SERVE = """
import sys
from spacy_bert_zh.serve import Limits, serve
serve(sys.argv[2:], port=0, limits=Limits(**eval(sys.argv[1])))
"""


@Language.component("moody")
def moody(doc: Doc) -> Doc:
    """Stands in for the server's, to save a pipeline with it."""
    return doc


@dataclass
class Running:
    """A server, and a client that knows its address."""

    process: subprocess.Popen
    client: httpx.Client
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far; every line is JSON."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def classify(self, **question: Any) -> httpx.Response:
        return self.client.post("/classify", json=question)

    def metric(self, line: str) -> float:
        """The value of a metric, 0 if nothing was counted."""
        found = re.search(rf"^{re.escape(line)} (.+)$", self.client.get("/metrics").text, re.M)
        return float(found[1]) if found else 0.0

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The line that tells of an event, once it is written `count` times."""
        for _ in range(2400):
            # The last line may be incomplete.
            lines = self.log.read_text("utf-8").split("\n")[:-1]
            told = [line for line in map(json.loads, lines) if line.get("event") == event]
            if len(told) >= count:
                return told[-1]
            assert self.process.poll() is None, self.log.read_text("utf-8")
            time.sleep(0.05)
        raise AssertionError(f"no {event!r}: {self.log.read_text('utf-8')}")


@contextmanager
def serving(folder: Path, *pipelines: str, key: str = "", **limits: Any) -> Iterator[Running]:
    """Run a server on a free port."""
    log = folder / "log.jsonl"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", MOODY + SERVE, repr(limits), *pipelines],
            stderr=stderr,
            env={**os.environ, "SPACY_BERT_ZH_API_KEY": key},
        )
    headers = {b"X-API-Key": key.encode()}
    pool = httpx.Limits(max_connections=None)
    with httpx.Client(timeout=30, limits=pool, headers=headers) as client:
        running = Running(process, client, log)
        try:
            client.base_url = f"http://127.0.0.1:{running.wait_for('listening')['port']}"
            yield running
        finally:
            process.kill()
            process.wait()


def save_moody(trained: Path, folder: Path) -> Path:
    """Save a trained pipeline with moods."""
    nlp = spacy.load(trained)
    nlp.add_pipe("moody", first=True)
    nlp.to_disk(folder)
    return folder


def save_stock(folder: Path, labels: int = 2, exclusive: bool = True) -> Path:
    """Save a pipeline of spaCy's own; if its labels aren't exclusive, it gives none to any text."""
    nlp = spacy.blank("zh")
    architecture = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": exclusive}
    architecture |= {"ngram_size": 1, "no_output_layer": False, "length": 64}
    factory = "textcat" if exclusive else "textcat_multilabel"
    threshold = {} if exclusive else {"threshold": 0.9}
    pipe = nlp.add_pipe(factory, config={"model": architecture, **threshold})
    for number in range(labels):
        pipe.add_label(f"标签{number}")
    nlp.initialize()
    folder.parent.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(folder)
    return folder


def receive_all(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    received = b""
    try:
        while more := connection.recv(65_536):
            received += more
    except ConnectionResetError:
        pass
    return received
