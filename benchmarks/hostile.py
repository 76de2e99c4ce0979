"""Hostile bodies of legal size on `serve`: how long `/health` takes meanwhile.

    python benchmarks/hostile.py PIPELINE

The clients, the one that asks for `/health` and the server run on the same machine.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import httpx
import typer

ROOT = Path(__file__).parents[1]
SIZE = 1_000_000
PORT = 8124
SERVER = """
import sys
from spacy_bert_zh.serve import serve
serve([sys.argv[1]], port=int(sys.argv[2]))
"""
# A process for each client: one that stands still mustn't look like a server that does.
CLIENT = """
import sys, time, collections, httpx
from benchmarks.hostile import BODIES
print("here", flush=True)
url, end, turn = sys.argv[1], time.time() + float(sys.argv[2]), int(sys.argv[3])
bodies, statuses = list(BODIES.values()), collections.Counter()
headers = {"Content-Type": "application/json"}
with httpx.Client(timeout=60) as client:
    while time.time() < end:
        reply = client.post(f"{url}/classify", content=bodies[turn % len(bodies)], headers=headers)
        statuses[reply.status_code] += 1
        turn += 1
print(dict(statuses))
"""


def fill(
    item: bytes, start: bytes = b'{"texts":[', end: bytes = b"]}", comma: bytes = b","
) -> bytes:
    """A body of (almost) the greatest size: an item as often as it has room."""
    count = (SIZE - len(start) - len(end)) // (len(item) + len(comma))
    return start + comma.join([item] * count) + end


def texts(text: str) -> bytes:
    """As many of a text as a request may have, in (almost) the greatest size."""
    each = text * (SIZE // 256 // len(text.encode()) - 4)
    return json.dumps({"texts": [each] * 256, "explain": True}, ensure_ascii=False).encode()


_KEYS = b",".join(b'"%06x":1' % number for number in range(SIZE // 11 - 2))

# Not what is expected.
WRONG = {
    "numbers": fill(b"1"),
    "floats": fill(b"1e9"),
    "long floats": fill(b"0." + b"7" * 800 + b"e-300"),
    "one float": fill(b"1" * (SIZE - 20), comma=b"", end=b".5]}"),
    "huge integers": fill(b"9" * 4300),
    "lists": fill(b"[]"),
    "objects": fill(b'{"a":1}'),
    "lists of lists": fill(b"[" * 900 + b"]" * 900),
    "deep": b"[" * SIZE,
    "deep objects": fill(b'{"a":', start=b"", end=b"", comma=b""),
    "empty texts": fill(b'""'),
    "texts without commas": fill(b'""', comma=b""),
    "keys": b"{" + _KEYS + b"}",
    "a key again and again": fill(b'"text":""', start=b"{", end=b"}"),
    "long key": b'{"' + b"k" * (SIZE - 10) + b'":1}',
    "quotes": b'"' * SIZE,
    "escaped quotes": b'"' + b'\\"' * (SIZE // 2 - 1),
    "spaces": b" " * (SIZE - 2) + b"{}",
    "no UTF-8": b'{"text":"' + b"\xff" * (SIZE - 20) + b'"}',
    "zeros": b"\x00" * SIZE,
    "surrogates": fill(rb"\ud800", start=b'{"text":"', end=b'"}', comma=b""),
    "one text": fill(b"a", start=b'{"text":"', end=b'"}', comma=b""),
    "one text of escapes": fill(rb"\n", start=b'{"text":"', end=b'"}', comma=b""),
}
# As expected, but strange and large.
STRANGE = {
    "escapes": fill(b'"' + rb"\n" * 1950 + b'"'),
    "Chinese": texts("这家店很好吃"),
    "letters": texts("a"),
    "digits": texts("1234567890"),
    "spaces in texts": texts(" "),
    "combining marks": texts("e\u0301\u0300\u0302"),
    "emoji": texts("👩‍👩‍👧‍👦"),
    "rare characters": texts("𪚥龘\U0002f800ﷺ"),
    "punctuation": texts("。，、！"),
}
BODIES = WRONG | STRANGE


def main(
    pipeline: Annotated[Path, typer.Argument(help="A trained pipeline.")],
    seconds: Annotated[int, typer.Option(help="How long.")] = 60,
    clients: Annotated[int, typer.Option(help="At a time.")] = 8,
) -> None:
    """Measure, and print a line of JSON."""
    words = [sys.executable, "-c", SERVER, str(pipeline), str(PORT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    wait_for(url, server)
    command = [sys.executable, "-c", CLIENT, url, str(seconds)]
    attackers = [
        subprocess.Popen([*command, str(4 * number)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for number in range(clients)
    ]
    for attacker in attackers:
        assert attacker.stdout and attacker.stdout.readline() == "here\n"
    waits = watch(url, seconds)
    statuses: Counter[int] = Counter()
    for attacker in attackers:
        statuses.update(eval(attacker.communicate()[0]))
    server.send_signal(signal.SIGTERM)
    told = {f"p{share}": waits[len(waits) * share // 100] for share in (50, 90, 99)}
    told |= {"most": waits[-1]}
    milliseconds = {name: round(1000 * value, 1) for name, value in told.items()}
    print(
        json.dumps(
            {
                "clients": clients,
                "answers": dict(sorted(statuses.items())),
                "/health asked": len(waits),
                "milliseconds": milliseconds,
                "exit code": server.wait(60),
            }
        )
    )


def watch(url: str, seconds: float) -> list[float]:
    """Ask for /health twenty times a second, whether or not answers come; their times, sorted."""
    waits: list[float] = []
    client = httpx.Client(timeout=60, limits=httpx.Limits(max_connections=None))

    def ask() -> None:
        begin = time.perf_counter()
        try:
            client.get(f"{url}/health").raise_for_status()
        finally:
            waits.append(time.perf_counter() - begin)

    threads = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    return sorted(waits)


def wait_for(url: str, server: subprocess.Popen) -> None:
    """Until the server is ready."""
    while server.poll() is None:
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("The server has ended")


if __name__ == "__main__":
    typer.run(main)
