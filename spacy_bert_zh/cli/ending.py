"""How a command ends: by a signal, by what the user can mend, or by a fault of ours."""

import atexit
import configparser
import csv
import lzma
import os
import re
import signal
import socket
import sqlite3
import sys
import threading
import traceback
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import typer

from spacy_bert_zh.errors import BertZhError, explain, system_error, wants_memory

TRACEBACK = "SPACY_BERT_ZH_TRACEBACK"
"""The variable of the environment that shows where an error of one line comes from."""

GRACE = 30.0
"""Seconds that a command has to put things in order after a signal."""

_SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
]
# Raised by readers of what isn't what it should be. Those of libraries go by their names: only
# who has raised one has imported the library.
_MALFORMED = (
    EOFError,
    UnicodeError,
    configparser.Error,
    csv.Error,
    lzma.LZMAError,
    sqlite3.Error,
    zipfile.BadZipFile,
    zlib.error,
)
_MALFORMED_NAMES = {
    "ArrowException",
    "ConfigValidationError",
    "DecodeError",
    "InvalidProtobuf",
    "JSONDecodeError",
    "RegistryError",
    "SafetensorError",
}
_CODED = re.compile(r"\[E\d+\] ")  # spaCy's errors for users


class Ended(KeyboardInterrupt):
    """A signal ends the command; raised so that everything on the way puts itself in order."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def boundary(name: str) -> Iterator[None]:
    """Let a command end with one line and an exit code, however it ends.

    An exception that nobody has foreseen keeps its traceback: it is a fault of ours, and to be
    reported.
    """
    try:
        with _ended_by_signals():
            yield
            sys.stdout.flush()
    except Ended as error:
        _end(f"{name} was ended by {error}: run it again", 128 + error.number)
    except KeyboardInterrupt:
        _end(f"{name} was interrupted: run it again", 130)
    except BrokenPipeError:
        _end(f"{name} stopped, for nobody reads what it prints any more", 141)
    except Exception as error:
        if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
            raise  # typer's own
        line = describe(name, error)
        if line is None or os.environ.get(TRACEBACK):
            traceback.print_exc()
        _end(line or f"That was a fault in {name}. Please report it, with the lines above", 1)


def describe(name: str, error: Exception) -> str | None:
    """The line for an error that the user can do something about; None for a fault of ours."""
    if isinstance(error, BertZhError):
        return str(error)
    what = " ".join(str(error).split())[:500]
    if wants_memory(error):
        return f"{name} stopped for want of memory: give it more, or smaller batches"
    if refused := system_error(error):
        return f"{name} stopped at {explain(refused)}"
    names = {base.__name__ for base in type(error).__mro__}
    if isinstance(error, _MALFORMED) or names & _MALFORMED_NAMES or _CODED.match(what):
        return (
            f"{name} stopped at something it can't read: {type(error).__name__}: {what} "
            f"({TRACEBACK}=1 shows where)"
        )
    return None


def _end(line: str, code: int) -> NoReturn:
    with suppress(OSError):
        typer.secho(f"✘ {line}", fg=typer.colors.RED, err=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # Or Python tries once more at its end, and says that it failed.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise `Ended` on signals that would end the process; on the second one end at once.

    What was started as to ignore a signal goes on to do so, and other threads than the main one
    can't have handlers.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        if not ended:
            ended = True
            raise Ended(number)

    before = {n: signal.getsignal(n) for n in _SIGNALS if signal.getsignal(n) in usual}
    for number in before:
        signal.signal(number, end)
    told, telling = socket.socketpair()
    telling.setblocking(False)
    older = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(told, telling, end), daemon=True).start()
    try:
        yield
    finally:
        if not ended:
            signal.set_wakeup_fd(older)
            for number, handler in before.items():
                if signal.getsignal(number) is end:
                    signal.signal(number, handler)
            telling.close()
            # What is done is done: Python takes a second to fall apart, and a signal in this
            # second would tell whoever waits for the command that it had failed.
            atexit.unregister(_ignore_signals)
            atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, signal.SIG_IGN)


def _insist(told: socket.socket, telling: socket.socket, handler: object) -> None:
    """End the process if it is deaf: Python calls no handler as long as a library computes."""
    with told, telling:
        number = 0
        while byte := told.recv(1):
            # A command that has a handler of its own knows what it does.
            if signal.getsignal(byte[0]) is handler:
                number = byte[0]
                break
        if not number:
            return
        told.settimeout(GRACE)
        with suppress(TimeoutError):
            told.recv(1)
        os._exit(128 + number)
