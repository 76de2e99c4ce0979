"""Processes that end with this one, however it ends: SIGKILL as well.

A child holds the reading end of a pipe whose other end its parent never writes to: the system
closes it with the parent, and the child, at the end of its input, ends itself and all that it
has started. (Linux' PR_SET_PDEATHSIG would do less: it doesn't reach children of children, and
goes off when the thread ends that started the child.)

This file is also run as a script, by `run`: it may import nothing but Python's own modules.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return its exit code and what it printed, read as UTF-8.

    When the caller is interrupted or dies, the command dies, with all processes that it started.
    """
    with started(
        command,
        folder,
        environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(list(command), process.returncode, output, errors)


@contextmanager
def started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], **streams: Any
) -> Iterator["subprocess.Popen[Any]"]:
    """Start a command, which dies with all that it started when the block ends, or the caller.

    Args:
        command: What to run.
        folder: Where.
        environment: Its variables.
        streams: Where its output goes, as `subprocess.Popen` takes it.
    """
    reading, writing = os.pipe()
    # Isolated and without site: it starts in no time, and nothing of the user's runs in it.
    guard = [sys.executable, "-I", "-S", __file__, *command]
    try:
        with subprocess.Popen(
            guard, cwd=folder, env=environment, stdin=reading, start_new_session=True, **streams
        ) as process:
            os.close(reading)
            try:
                yield process
            finally:
                os.close(writing)
                writing = -1
    finally:
        if writing >= 0:
            os.close(writing)


@contextmanager
def pool(
    workers: int, start: Callable[..., None] | None = None, settings: Sequence[Any] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that are killed when the block raises, and die with the parent.

    Args:
        workers: How many.
        start: Called with `settings` in each process, before its first task.
        settings: What can be pickled.
    """
    others = {process.pid for process in multiprocessing.active_children()}
    # Spawned: what is forked inherits threads that don't exist there.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, _start, (start, settings))
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process.pid not in others:
                process.kill()
        raise
    finally:
        executor.shutdown()


def die_with_parent() -> None:
    """End this process of `multiprocessing` when its parent does; to be called at its start.

    Ctrl-C reaches a terminal's processes all at once: here it is left to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_wait_for_parent, daemon=True).start()


def _start(start: Callable[..., None] | None, settings: Sequence[Any]) -> None:
    die_with_parent()
    if start:
        start(*settings)


def _wait_for_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _guard(command: list[str]) -> int:
    """Run a command, and kill it with all of its group at the end of the standard input."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    Thread(target=_kill_at_end_of_input, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _kill_at_end_of_input(child: "subprocess.Popen[bytes]") -> None:
    os.read(0, 1)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    # Windows has no groups to kill, but a command that follows the parents.
    subprocess.run(["taskkill", "/F", "/T", "/PID", str(child.pid)], capture_output=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
