"""Outputs: whose they are, one writer at a time, whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spacy_bert_zh
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import outputs as files
from spacy_bert_zh.files import renaming

HERE = str(Path(spacy_bert_zh.__file__).parent.parent)


def make(output: Path, command: str = "export", text: str = "1", **options: object) -> None:
    """Make a folder with a few entries, at two depths."""
    with files.owned(output, command, **options) as part:  # type: ignore[arg-type]
        (part / "inner" / "none").mkdir(parents=True)
        (part / "config.cfg").write_text(text)
        (part / "inner" / "model").write_text(text)


def make_file(output: Path, command: str = "score", text: str = "1") -> None:
    with files.owned(output, command, folder=False) as part:
        part.write_text(text)


def tree(folder: Path) -> dict[str, bytes]:
    paths = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"/"
        for path in paths
    }


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=[True, False], ids=["exchange", "two steps"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(renaming, "exchange", lambda one, other: False)
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges paths")


# Ownership


def test_a_folder_is_made_again_and_nothing_else_is_left(tmp_path: Path, exchanges: None) -> None:
    make(tmp_path / "out")
    first = tree(tmp_path)
    make(tmp_path / "out", text="2")
    assert (tmp_path / "out" / "config.cfg").read_text() == "2"
    make(tmp_path / "out")
    assert tree(tmp_path) == first  # to the byte, the record as well
    assert only(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "where", ["thesis.txt", ".hidden", "inner/thesis.txt", "inner/none/deep", "new/", "a/b/c/d.txt"]
)
def test_what_the_user_put_into_an_output_is_kept(tmp_path: Path, where: str) -> None:
    make(tmp_path / "out")
    path = tmp_path / "out" / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if where.endswith("/") else path.write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(BertZhError, match=f"holds {where}.*another output") as error:
        make(tmp_path / "out", text="2")
    assert "\n" not in str(error.value)
    assert tree(tmp_path) == before


def test_what_the_user_changed_in_an_output_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / "inner" / "model").write_text("mine")
    with pytest.raises(BertZhError, match=r"holds inner/model, .*changed since"):
        make(tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "model").read_text() == "mine"


def test_links_that_the_user_put_into_an_output_are_kept(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(BertZhError, match=r"holds link"):
        make(tmp_path / "out")


def test_a_folder_that_we_did_not_make_is_kept(tmp_path: Path) -> None:
    for name in ("report.json", "config.cfg"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(BertZhError, match=f"holds {name}, and nothing says that 'export'"):
            make(folder)
        assert (folder / name).exists()


def test_what_another_command_made_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "out", "convert")
    with pytest.raises(BertZhError, match="nothing says that 'export' made it"):
        make(tmp_path / "out", "export")
    make(tmp_path / "exports" / "onnx")
    with pytest.raises(BertZhError, match=r"holds onnx/"):
        make(tmp_path / "exports")


def test_a_folder_that_is_empty_or_lost_files_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    (tmp_path / "out" / "config.cfg").unlink()
    (tmp_path / "out" / "inner" / "model").unlink()
    make(tmp_path / "out")
    assert (tmp_path / "out" / "config.cfg").exists()


def test_droppings_of_systems_do_not_count_but_what_hides_among_them_does(tmp_path: Path) -> None:
    make(tmp_path / "out")
    for name in (".DS_Store", "inner/Thumbs.db", "inner/none/desktop.ini", "__pycache__/a.pyc"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("x")
    make(tmp_path / "out")
    assert not (tmp_path / "out" / ".DS_Store").exists()
    (tmp_path / "out" / "__pycache__").mkdir()
    (tmp_path / "out" / "__pycache__" / "thesis.txt").write_text("mine")
    with pytest.raises(BertZhError, match=r"holds __pycache__/thesis.txt"):
        make(tmp_path / "out")


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '{"folder": 1}', '{"files": {"a": 1}}', "[" * 9999]
)
def test_a_broken_record_claims_nothing(tmp_path: Path, record: str) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / files.RECORD).write_text(record)
    with pytest.raises(BertZhError, match="nothing says"):
        make(tmp_path / "out")


NAMES = st.sampled_from(["a", "b", "config.cfg", "inner", "模型", ".x", "__pycache__", "t.pyc"])


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=4))
def test_no_file_of_the_user_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    make(folder / "out")
    mine = {}
    for number, path in enumerate(paths):
        file = folder.joinpath("out", *path)
        if any(part.is_file() for part in (file, *file.parents)) or file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        mine[file] = str(number)
        file.write_text(mine[file])
    cache = {file for file in mine if file.parent.name == "__pycache__" and file.suffix == ".pyc"}
    try:
        make(folder / "out", text="2")
    except BertZhError:
        assert mine.keys() - cache
        assert (folder / "out" / "config.cfg").read_text() == "1"
        assert {file: file.read_text() for file in mine} == mine
    else:
        assert not mine.keys() - cache


# Single files


def test_a_file_is_made_again_beside_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for text in ("1", "2"):
        make_file(tmp_path / "scores.jsonl", text=text)
        make_file(tmp_path / "report.html", "evaluate", text)
        assert (tmp_path / "scores.jsonl").read_text() == text
    assert only(tmp_path) == [files.RECORD, "report.html", "scores.jsonl", "thesis.txt"]


def test_a_file_that_is_the_users_is_kept(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text("mine")
    with pytest.raises(BertZhError, match=r"is not from 'score'.*Name another output"):
        make_file(tmp_path / "labels.jsonl")
    make_file(tmp_path / "scores.jsonl")
    (tmp_path / "scores.jsonl").write_text("mine")
    with pytest.raises(BertZhError, match="changed since"):
        make_file(tmp_path / "scores.jsonl")
    make_file(tmp_path / "report.html", "evaluate")
    with pytest.raises(BertZhError, match=r"is not from 'score'"):
        make_file(tmp_path / "report.html", "score")
    assert only(tmp_path) == [files.RECORD, "labels.jsonl", "report.html", "scores.jsonl"]


def test_a_record_forgets_files_that_are_gone(tmp_path: Path) -> None:
    make_file(tmp_path / "a")
    make_file(tmp_path / "b")
    (tmp_path / "a").unlink()
    make_file(tmp_path / "b")
    alone = (tmp_path / files.RECORD).read_text()
    assert '"b"' in alone
    assert '"a"' not in alone


@pytest.mark.parametrize("step", range(3))
def test_a_file_is_ours_whenever_the_process_dies(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path / "scores.jsonl", text="1")
    calls = iter(range(9))
    real = files.replace

    def dying(source: Path, target: Path) -> None:
        if next(calls) == step:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        make_file(tmp_path / "scores.jsonl", text="2")
    monkeypatch.undo()
    make_file(tmp_path / "scores.jsonl", text="2")
    undisturbed = tmp_path / "other"
    undisturbed.mkdir()
    make_file(undisturbed / "scores.jsonl", text="2")
    assert tree(undisturbed) == {k: v for k, v in tree(tmp_path).items() if "other" not in k}


# Places


def test_an_output_is_no_input_nor_inside_or_above_one(tmp_path: Path) -> None:
    make(tmp_path / "pipeline")
    before = tree(tmp_path)
    for output, said in [
        (tmp_path / "pipeline", "input and output at once"),
        (tmp_path, "inside the output"),
        (tmp_path / "pipeline" / "inner" / "out", "inside the input"),
    ]:
        with pytest.raises(BertZhError, match=said):
            make(output, inputs=[tmp_path / "pipeline", "an_installed_package"])
    (tmp_path / "link").symlink_to("pipeline")
    with pytest.raises(BertZhError, match="at once"):
        make(tmp_path / "link", inputs=[tmp_path / "pipeline"])
    (tmp_path / "link").unlink()
    assert tree(tmp_path) == before


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    for _ in range(2):
        make(tmp_path / "out")
        assert (tmp_path / "out").is_symlink()
        assert (tmp_path / "disk" / "out" / "config.cfg").exists()
        assert only(tmp_path / "disk") == ["out"]
    (tmp_path / "disk" / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(BertZhError, match="thesis"):
        make(tmp_path / "out")


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BertZhError, match="is a file: name a folder"):
        make(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BertZhError, match="is a folder: name a file"):
        make_file(tmp_path / "folder")
    with pytest.raises(BertZhError, match="no ordinary file"):
        make_file(Path("/dev/null"))
    with pytest.raises(OSError, match="file"):
        make(tmp_path / "file" / "below")


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (Path("."), Path("..")):
        with pytest.raises(BertZhError, match="where you are"):
            make(output)
    with pytest.raises(BertZhError, match="mounted disk"):
        make(Path("/proc"))


@pytest.mark.parametrize("name", ["长" * 80, "x" * 250])
def test_names_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        make(tmp_path / name)
    assert only(tmp_path) == [name]
    with pytest.raises(OSError, match="too long"):
        make(tmp_path / (name + "x" * 20))
    assert only(tmp_path) == [name]


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
