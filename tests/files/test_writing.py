"""Outputs: whole or not at all, one writer at a time, folders that are worked in."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import spacy_bert_zh
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import outputs as files
from spacy_bert_zh.files import renaming
from tests.files.making import make, only, tree

HERE = str(Path(spacy_bert_zh.__file__).parent.parent)


# Whole or not at all


class Disk(Exception):
    """As libraries report what the system refused."""


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        Disk("SafetensorError: I/O error: No space left on device (os error 28)"),
        Disk("database or disk is full"),
    ],
)
def test_a_full_disk_names_the_output_and_leaves_nothing(tmp_path: Path, raised: Exception) -> None:
    output = tmp_path / "new" / "deep" / "out"
    with pytest.raises(OSError, match="No space left") as error, files.owned(output, "x") as part:
        part.mkdir()
        (part / "half").write_text("x")
        raise raised
    assert error.value.errno == errno.ENOSPC
    assert error.value.filename == str(output)
    assert only(tmp_path) == []


def test_an_error_names_the_output_and_not_its_temporary(tmp_path: Path) -> None:
    with pytest.raises(OSError) as error, files.whole(tmp_path / "out") as part:
        (part / "inner" / "file").write_text("x")
    assert error.value.filename == str(tmp_path / "out" / "inner" / "file")


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_fails_leaves_the_older_output(tmp_path: Path, kind: type[BaseException]) -> None:
    make(tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(kind), files.owned(tmp_path / "out", "export") as part:
        part.mkdir()
        raise kind
    assert tree(tmp_path) == before


def test_there_is_always_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill between any two calls of the system leaves, is mended by the next run."""
    make(tmp_path / "out")
    for exchanging in (True, False):
        if not exchanging:
            monkeypatch.setattr(renaming, "exchange", lambda one, other: False)
        for step in range(4):
            with monkeypatch.context() as patch:
                dying_at(patch, step)
                with pytest.raises(Killed):
                    make(tmp_path / "out", text="2")
            if exchanging:
                assert (tmp_path / "out" / "config.cfg").exists()
            with pytest.raises(ZeroDivisionError), files.owned(tmp_path / "out", "export"):
                raise ZeroDivisionError
            assert (tmp_path / "out" / "config.cfg").read_text() in "12"
            assert only(tmp_path) == ["out"]


class Killed(BaseException):
    """As SIGKILL: nothing of ours runs after it."""


def dying_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """End at the n-th change of the file system by a replacement, without cleaning up."""
    calls = iter(range(99))
    dead = False

    def counted(function):  # type: ignore[no-untyped-def]
        def call(*args: object) -> object:
            nonlocal dead
            if dead or next(calls) == step:
                dead = True
                raise Killed
            return function(*args)

        return call

    started = renaming.replace

    def replacing(source: Path, target: Path) -> None:
        for module, name in ((os, "replace"), (renaming, "exchange"), (renaming, "remove")):
            patch.setattr(module, name, counted(getattr(module, name)))
        patch.setattr(files, "remove", counted(files.remove))
        started(source, target)
        raise Killed

    patch.setattr(files, "replace", replacing)


def test_leftovers_of_other_outputs_are_let_alone(tmp_path: Path) -> None:
    kept = [".other.host.1.part", ".out.thesis.part", ".out.part", "out.host.1.part"]
    swept = [".out.host.1.part", ".out.a.b.c.99.old", ".out.host.3.gone"]
    make(tmp_path / "out")
    for name in [*kept, *swept]:
        (tmp_path / name).write_text("x")
    make(tmp_path / "out")
    assert only(tmp_path) == sorted([*kept, "out"])


# One writer at a time

HOLDS = """
import sys, time
from spacy_bert_zh.files import outputs as files
with files.owned(sys.argv[1], "export") as part:
    part.mkdir()
    (part / "half").write_text("x")
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": HERE},
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_told_who_is_at_work(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(BertZhError, match=rf"in use by export \(process {holder.pid} on "):
        make(tmp_path / "out")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert len(only(tmp_path)) == 2  # its lock and its half
    make(tmp_path / "out")
    assert only(tmp_path) == ["out"]


def test_many_at_once_make_one_output(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom spacy_bert_zh import files\n"
        "from spacy_bert_zh.errors import BertZhError\n"
        "done = 0\n"
        "while done < 20:\n"
        "    try:\n"
        "        with files.owned(sys.argv[1], 'export') as part:\n"
        "            part.mkdir(); (part / 'a').write_text('1' * 1000)\n"
        "        done += 1\n"
        "    except BertZhError as error:\n"
        "        assert 'in use' in str(error), error\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": HERE}
    running = [subprocess.Popen(command, env=environment) for _ in range(3)]
    while any(process.poll() is None for process in running):
        if (tmp_path / "out").exists():
            assert (tmp_path / "out" / "a").read_text() == "1" * 1000 or not list(
                tmp_path.iterdir()
            )
        time.sleep(0.01)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert only(tmp_path) == ["out"]


# Folders that are worked in


def test_a_workshop_is_gone_on_in_and_refused_to_strangers(tmp_path: Path) -> None:
    with files.workshop(tmp_path / "work", "score", "*.jsonl") as folder:
        (folder / "1.jsonl").write_text("x")
    (tmp_path / "work" / ".1.jsonl.host.7.part").write_text("half")
    with files.workshop(tmp_path / "work", "score", "*.jsonl") as folder:
        assert only(folder) == [files.RECORD, "1.jsonl"]
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with (
        pytest.raises(BertZhError, match=r"holds thesis.txt"),
        files.workshop(tmp_path / "work", "score", "*.jsonl"),
    ):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "1.jsonl").write_text("mine")
    with (
        pytest.raises(BertZhError, match=r"holds 1.jsonl"),
        files.workshop(tmp_path / "mine", "score", "*.jsonl"),
    ):
        pass
    assert only(tmp_path) == ["mine", "work"]


def test_a_workshop_without_work_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.workshop(tmp_path / "work", "score", "*"):
        raise ZeroDivisionError
    assert only(tmp_path) == []


def test_there_is_room_to_work_beside_a_file_until_it_is_made(tmp_path: Path) -> None:
    output = tmp_path / "a.whl"
    with files.claim("package", output, folder=False), files.scratch(output) as work:
        (work / "built").write_text("x")
        with files.made(output, "package") as part:
            part.write_text((work / "built").read_text())
    assert only(tmp_path) == [files.RECORD, "a.whl"]
    (tmp_path / ".a.whl.host.7.work").mkdir()  # of a run that was killed
    with files.claim("package", output, folder=False):
        assert only(tmp_path) == [".a.whl.lock", files.RECORD, "a.whl"]


def test_a_folder_that_lost_something_is_not_intact(tmp_path: Path) -> None:
    assert not files.intact(tmp_path / "out")
    make(tmp_path / "out")
    assert files.intact(tmp_path / "out")
    (tmp_path / "out" / "inner" / "model").write_text("other")
    assert not files.intact(tmp_path / "out")
    (tmp_path / "out" / "inner" / "model").unlink()
    assert not files.intact(tmp_path / "out")


def test_what_a_run_killed_at_its_record_left_is_gone_after_the_next(tmp_path: Path) -> None:
    """Such as the record of a file that was about to be made."""
    left = tmp_path / f".{files.RECORD}.host.1.{renaming.PART}"
    left.write_text("{", "utf-8")
    target = tmp_path / "metrics.jsonl"
    with files.claim("train", target, folder=False), files.made(target, "train") as part:
        part.write_text("1", "utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [files.RECORD, "metrics.jsonl"]
