"""A server that is killed at any moment: what it has confirmed is there, and nothing twice.

`pytest -m slow tests/label/test_kills.py` kills it 100 times; KILLS is how often.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.label.labelling import LABELS, SESSION, write_pool

KILLS = int(os.environ.get("KILLS", 100))
NAMES = ("甲", "乙")
# Servers are forked from a process that has imported all, which takes a hundredth of the time.
NURSERY = """
import os, sys
from pathlib import Path
import spacy_bert_zh.label.app
from spacy_bert_zh.label import Options, label

pool, output, labels = sys.argv[1:]
for _ in sys.stdin:
    if not (child := os.fork()):
        label(Path(pool), Path(output), Options(labels=labels), port=0)
        os._exit(0)
    os.waitpid(child, 0)
"""


@dataclass
class Nursery:
    """Starts servers, one after the other."""

    process: subprocess.Popen
    log: Path

    def start(self) -> tuple[int, str]:
        """The process and the address of the next one."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        url = self.process.stdout.readline().decode().strip()
        assert url, self.log.read_text("utf-8")
        (child,) = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        return int(child), url


@contextmanager
def nursery(pool: Path, output: Path) -> Iterator[Nursery]:
    log = output.with_suffix(".log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, pool, output, ",".join(LABELS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    with process:
        yield Nursery(process, log)
        assert process.stdin
        process.stdin.close()


@dataclass
class Hand:
    """Somebody who answers text after text, and notes what was confirmed."""

    name: str
    said: list[str] = field(default_factory=list)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def work(self, url: str) -> None:
        """Go on until the server dies; an answer whose reply was lost is given once more."""
        try:
            assert self.stored(url) - len(self.said) in (0, 1)
            while True:
                label = LABELS[len(self.said) % 3]
                task = self._ask(f"{url}/answer", place=len(self.said), labels=[label])
                self.said.append(label)
                assert task["place"] == len(self.said)
        except httpx.TransportError:
            pass

    def stored(self, url: str) -> int:
        """How many of the answers the server has."""
        done: int = self._ask(f"{url}/open", take_over=False)["task"]["done"]
        return done

    def _ask(self, url: str, **question: object) -> dict:
        who = {"annotator": self.name, "session": SESSION}
        while (reply := self.client.post(url, json={**who, **question})).status_code == 503:
            time.sleep(0.01)  # it has just begun to listen
        found: dict = reply.raise_for_status().json()
        return found


def kill_between(child: int, hands: list[Hand], rng: random.Random) -> None:
    """Kill it at any moment after some more answers."""
    end = sum(len(hand.said) for hand in hands) + rng.randint(0, 20)
    patience = time.monotonic() + 30
    while sum(len(hand.said) for hand in hands) < end and time.monotonic() < patience:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)


def survive(kills: int, folder: Path) -> int:
    """Kill it so often; how many answers are there in the end, each just once."""
    texts = [f"第{number}条文本" for number in range(100 * kills)]
    pool, output = write_pool(folder / "pool.jsonl", texts), folder / "out"
    hands, rng = [Hand(name) for name in NAMES], random.Random(kills)
    with nursery(pool, output) as servers:
        for _ in range(kills):
            child, url = servers.start()
            threads = [threading.Thread(target=hand.work, args=(url,)) for hand in hands]
            for thread in threads:
                thread.start()
            kill_between(child, hands, rng)
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
        child, url = servers.start()  # which tells what is there
        for hand in hands:
            more = hand.stored(url) - len(hand.said)
            assert more in (0, 1)  # the last one may be there without its reply
            hand.said += [LABELS[len(hand.said) % 3]] * more
            hand.client.close()
        os.kill(child, signal.SIGINT)
    query = "SELECT text, labels FROM answers WHERE annotator = ? ORDER BY number"
    with sqlite3.connect(output / "answers.sqlite") as database:
        for hand in hands:
            expected = [
                (texts[i], json.dumps([x], ensure_ascii=False)) for i, x in enumerate(hand.said)
            ]
            assert list(database.execute(query, (hand.name,))) == expected
    assert len((output / "labels.jsonl").read_text("utf-8").splitlines()) == max(
        len(hand.said) for hand in hands
    )
    return sum(len(hand.said) for hand in hands)


def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    assert survive(5, tmp_path) > 5


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    found = survive(KILLS, tmp_path)
    print(f"{KILLS} kills survived, {found} answers confirmed, 0 rows lost")
    assert found > KILLS
