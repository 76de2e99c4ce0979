"""Start a command several times on this machine, as processes that know of each other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import started

LOOK = 0.1
"""Seconds between two looks at the processes."""
LEAVE = 2.0
"""Seconds that the first process has to say itself what is wrong with all of them."""


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run one of our commands in several processes, numbered as torchrun numbers them.

    The first one has this process's output. If one ends with an error, or this process ends, so do
    all.

    Args:
        arguments: The command's name and what follows it.
        processes: How many.

    Returns:
        The exit code: 0, or that of the first process, which then has said why.

    Raises:
        BertZhError: Another process ended, or torchrun has already started this one.
    """
    if "RANK" in os.environ:
        raise BertZhError(
            "--processes, but this is a process of torchrun (RANK is set): leave one of them out"
        )
    command = [sys.executable, "-m", "spacy_bert_zh", *arguments]
    with ExitStack() as stack:
        running: list[tuple[subprocess.Popen[Any], IO[bytes] | None]] = []
        store, shared = _meeting_place(processes)
        stack.callback(lambda: store)  # which is there as long as the processes are
        for rank in range(processes):
            log: IO[bytes] | None = stack.enter_context(TemporaryFile()) if rank else None
            quiet = {"stdout": log, "stderr": log} if log else {}
            numbered = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = stack.enter_context(started(command, Path.cwd(), numbered, **quiet))
            running.append((process, log))
        failed = _wait([process for process, _ in running])
        if failed is None:
            return 0
        process, log = running[failed]
        if log:
            log.seek(0)
            sys.stderr.write(log.read().decode("utf-8", "replace"))
        if failed == 0 and process.returncode < 128:
            return int(process.returncode)
        raise BertZhError(
            f"Process {failed} of {processes} {_how(process.returncode)}, and the others were "
            "stopped: run the command again, a training with --resume"
        )


def _meeting_place(processes: int) -> tuple[Any, dict[str, str]]:
    """A store on a free port, and the environment in which torch.distributed finds it."""
    try:
        from torch.distributed import TCPStore
    except ImportError:
        raise missing_extra("torch", "torch", "--processes") from None
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    threads = max(_cores() // processes, 1)
    return store, {
        "OMP_NUM_THREADS": str(threads),  # unless the user says so
        **os.environ,
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # no process opens the store: it is open
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _wait(processes: Sequence["subprocess.Popen[Any]"]) -> int | None:
    """Wait until all have ended well, or one hasn't: its number."""
    codes: list[int | None] = [None]
    while None in codes and not any(codes):
        time.sleep(LOOK)
        codes = [process.poll() for process in processes]
    failed = next((rank for rank, code in enumerate(codes) if code), None)
    if failed:
        try:  # what is wrong with all of them is said once
            if processes[0].wait(LEAVE):
                return 0
        except subprocess.TimeoutExpired:
            pass
    return failed


def _how(code: int) -> str:
    if code <= 128:
        return f"ended with code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"ended with code {code}"
    memory = " (is there memory for so many?)" if name == "SIGKILL" else ""
    return f"was ended by {name}{memory}"
