"""The command `label` in a process of its own, and a client that answers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.serve.serving import Running

LABELS = ("体育", "财经", "教育")
SESSION = "a window of a browser"


def write_pool(path: Path, texts: Sequence[str]) -> Path:
    rows = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@contextmanager
def labelling(pool: Path, output: Path, *words: object, key: str = "") -> Iterator[Running]:
    """Run the command on a free port; at the end it is killed, if it hasn't ended."""
    log = output.with_suffix(".log")
    command = [sys.executable, "-m", "spacy_bert_zh", "label", pool, output, "--port", 0, *words]
    environment = {**os.environ, "SPACY_BERT_ZH_API_KEY": key, "PYTHONUTF8": "1"}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=stderr, env=environment
        )
    with httpx.Client(timeout=30) as client:
        running = Running(process, client, log)
        try:
            port = running.wait_for("listening")["port"]
            client.base_url = f"http://127.0.0.1:{port}"
            running.wait_for("ready")
            yield running
        finally:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()


def end(server: Running) -> str:
    """End it as Ctrl-C does, and return what it has printed."""
    server.process.send_signal(signal.SIGINT)
    said, _ = server.process.communicate(timeout=60)
    assert server.process.returncode == 0, server.log.read_text("utf-8")
    return str(said.decode("utf-8"))


@dataclass
class Annotator:
    """Somebody who labels, without a browser."""

    server: Running
    name: str
    session: str = SESSION

    def ask(self, path: str, **question: Any) -> httpx.Response:
        who = {"annotator": self.name, "session": self.session}
        return self.server.client.post(path, json={**who, **question})

    def open(self, take_over: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("/open", take_over=take_over).raise_for_status().json()
        return found

    def answer(self, place: int, *labels: str) -> dict[str, Any]:
        reply = self.ask("/answer", place=place, labels=list(labels))
        found: dict[str, Any] = reply.raise_for_status().json()
        return found

    def skip(self, place: int) -> dict[str, Any]:
        reply = self.ask("/answer", place=place, labels=None)
        found: dict[str, Any] = reply.raise_for_status().json()
        return found
