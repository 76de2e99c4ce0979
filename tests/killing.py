"""Commands killed again and again at random points, each time gone on with."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]
KILLS = int(os.environ.get("KILLS", "20"))
"""How often a loop kills; fewer for a look in between."""


@dataclass
class Command:
    """A command of ours.

    Attributes:
        words: Behind ``python -m spacy_bert_zh``.
        folder: Where its temporary files go: nothing may be left there.
    """

    words: list[str]
    folder: Path

    def start(self) -> "subprocess.Popen[str]":
        self.folder.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "spacy_bert_zh", *self.words],
            env={**os.environ, "TMPDIR": str(self.folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def finish(self) -> None:
        process = self.start()
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert not list(self.folder.iterdir())


def kill_loop(
    command: Command, number: signal.Signals, is_over: Callable[[], bool], begin_anew: Callable
) -> int:
    """Kill at random points until it has been done often enough; how many kills hit the run.

    Args:
        command: What is killed.
        number: By which signal.
        is_over: Whether the output is there; checks that it is whole.
        begin_anew: Removes it.
    """
    begun = time.monotonic()
    command.finish()
    lasts = time.monotonic() - begun
    assert is_over()
    begin_anew()
    choose = random.Random(int(number)).uniform
    hits = 0
    for _ in range(KILLS):
        process = command.start()
        time.sleep(choose(0.1, lasts))
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
        hits += process.returncode != 0
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, alive
        if number != signal.SIGKILL and process.returncode not in (0, -number):
            assert process.returncode == 128 + number, said
            lines = [line for line in said.splitlines() if "✘" in line]
            assert len(lines) == 1 and "Traceback" not in said, said
        if is_over():
            begin_anew()
    command.finish()
    assert is_over()
    return hits
