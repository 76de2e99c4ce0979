"""Outputs that appear whole or not at all, one writer at a time, and never in a stranger's place.

A command replaces only what the same command made. What that was stands in `RECORD`: inside a
folder that was made as a whole, with a digest of each of its files; for single files, in the
folder that they are in. Whatever is not recorded, or differs from its digest, belongs to the
user, and the command refuses to touch it.
"""

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path

from spacy_bert_zh.errors import BertZhError, system_error
from spacy_bert_zh.files.record import RECORD, Record, dropping, entries
from spacy_bert_zh.files.renaming import (
    PART,
    WORK,
    beside,
    discard,
    leftovers,
    made_parents,
    mend,
    remove,
    replace,
    short_name,
)

__all__ = [
    "RECORD",
    "check_apart",
    "claim",
    "discard",
    "intact",
    "made",
    "owned",
    "remove",
    "scratch",
    "whole",
    "workshop",
]

# Seconds that an update of a record waits for another one.
PATIENCE = 30


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path` and move it there when the block succeeds.

    Works for a file and for a folder (the block creates whichever it wants). An older output of
    the same name is replaced only at the very end, in one step; when the block raises, the
    temporary output is removed and the older one stays as it was. This doesn't ask whose that
    is: outputs that a user names are made by `owned` or `made`.

    Raises:
        OSError: With the name of `path`, also if the block's had none.
    """
    path = Path(os.path.abspath(path))
    with _temporary(path) as temporary:
        yield temporary
        replace(temporary, path)


@contextmanager
def owned(
    output: Path | str, command: str, inputs: Iterable[Path | str] = (), *, folder: bool = True
) -> Iterator[Path]:
    """Make an output that a user has named: `claim` it, then as `made`.

    Args:
        output: A file or folder. A symbolic link is followed.
        command: Who makes it.
        inputs: What is read; the output may not be one of them, nor inside or above.
        folder: Whether the block makes a folder or a file.

    Raises:
        BertZhError: There is something else at `output`, or a run that isn't over.
    """
    target = real(output)
    check_apart(target, inputs)
    with claim(command, target, folder=folder), made(target, command) as temporary:
        yield temporary


@contextmanager
def claim(command: str, *outputs: Path | str, folder: bool) -> Iterator[None]:
    """Hold outputs while a command runs: locked, mended, and found to be the command's own.

    The check comes before the work, so that nobody waits for hours to be refused. Inside the
    block outputs are made by `made`, as often as it wants.

    Args:
        command: Who makes them.
        outputs: Files, or folders that are made as a whole.
        folder: Which of both they are.

    Raises:
        BertZhError: There is something else at an output, or a run that isn't over.
    """
    targets = sorted(real(output) for output in outputs)
    with ExitStack() as stack:
        for target in targets:
            _check_place(target)
            stack.enter_context(made_parents(target.parent))
            stack.enter_context(_locked(target, command))
            mend(target)
        for target in targets:
            check_owner(target, command, folder)
        yield


@contextmanager
def made(output: Path | str, command: str) -> Iterator[Path]:
    """As `whole`, for an output that is claimed: what is made is recorded as the command's."""
    path = real(output)
    with _temporary(path) as temporary:
        yield temporary
        check_owner(path, command, temporary.is_dir())
        if temporary.is_dir():
            Record.of_folder(temporary, command).write(temporary)
            replace(temporary, path)
        else:
            _put_file(temporary, path, command)


@contextmanager
def scratch(output: Path | str) -> Iterator[Path]:
    """Yield a folder for as long as the block runs, beside an output that is claimed.

    Unlike one in the system's folder for such, it has as much room as the output, and what a
    killed run leaves is swept by the next one.
    """
    with _temporary(real(output), WORK) as folder:
        folder.mkdir()
        yield folder


@contextmanager
def workshop(path: Path | str, command: str, *patterns: str) -> Iterator[Path]:
    """Hold a folder that a command works in, and goes on in when it was cut off.

    Args:
        path: The folder, made if there is none.
        command: Who works in it.
        patterns: Names of what the command puts there, as for `fnmatch`.

    Raises:
        BertZhError: The folder is somebody else's or holds other things, or a run works in it.
    """
    folder = real(path)
    with made_parents(folder.parent), _locked(folder, command):
        mend(folder)
        _open_workshop(folder, command, patterns)
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                if [entry.name for entry in folder.iterdir()] == [RECORD]:
                    discard(folder)


def intact(folder: Path) -> bool:
    """Whether a folder that was made as a whole has all that was made, unchanged."""
    record = Record.read(folder)
    return record.folder is not None and not record.missing(folder)


def real(path: Path | str) -> Path:
    """The path with symbolic links followed: what is made stands where the link points to."""
    return Path(os.path.realpath(path))


def check_apart(output: Path, inputs: Iterable[Path | str]) -> None:
    """Refuse an output that is an input, or inside or above one.

    Raises:
        BertZhError: It names both.
    """
    target = real(output)
    for given in inputs:
        source = real(given)
        if not source.exists():
            continue
        if source == target:
            raise BertZhError(f"{given} can't be input and output at once: name another output")
        if source.is_relative_to(target):
            raise BertZhError(f"The input {given} is inside the output {output}: name another one")
        if target.is_relative_to(source):
            raise BertZhError(f"The output {output} is inside the input {given}: name another one")


def check_owner(path: Path, command: str, folder: bool) -> None:
    """Refuse to replace anything but what `command` made.

    Raises:
        BertZhError: It names what else is there, and the way out.
    """
    if not os.path.lexists(path):
        return
    if folder and not path.is_dir():
        raise BertZhError(f"{path} is a file: name a folder for what '{command}' makes")
    if not folder and path.is_dir():
        raise BertZhError(f"{path} is a folder: name a file for what '{command}' makes")
    if folder:
        _check_folder(path, command)
    elif not path.is_file():
        raise BertZhError(f"{path} is no ordinary file: name another output")
    elif not Record.read(path.parent).is_ours(path.parent, path.name, command):
        raise BertZhError(
            f"{path} is not from '{command}', or was changed since: it would be overwritten. "
            "Name another output, or move it away"
        )


def _check_folder(path: Path, command: str) -> None:
    record = Record.read(path)
    if foreign := next(record.foreign(path, command), None):
        why = (
            f"which is not from '{command}', or was changed since"
            if record.folder == command
            else f"and nothing says that '{command}' made it"
        )
        raise BertZhError(
            f"{path} holds {foreign}, {why}: it would be lost. "
            "Name another output, or move the folder away"
        )


def _check_place(path: Path) -> None:
    """Refuse what can't be exchanged, or not without pulling the ground from under a shell."""
    if real(Path.cwd()).is_relative_to(path):
        raise BertZhError(f"{path} is where you are: name a folder inside it")
    if os.path.ismount(path):
        raise BertZhError(f"{path} is a mounted disk: name a folder inside it")


@contextmanager
def _temporary(path: Path, ending: str = PART) -> Iterator[Path]:
    temporary = beside(path, ending)
    with made_parents(path.parent):
        try:
            remove(temporary)
            yield temporary
        except Exception as error:
            refused = system_error(error)
            if refused is None:
                raise
            _name(refused, temporary, path)
            if refused is error:
                raise
            raise refused from error
        finally:
            remove(temporary)


def _name(error: OSError, temporary: Path, path: Path) -> None:
    """Let an error name the output, and not what nobody has heard of."""
    if error.filename is None:
        error.filename = str(path)
    for name in ("filename", "filename2"):
        if isinstance(given := getattr(error, name), str | bytes):
            setattr(error, name, os.fsdecode(given).replace(str(temporary), str(path)))


def _put_file(temporary: Path, path: Path, command: str) -> None:
    """Replace a file such that the record knows whichever is there when the process is killed."""
    with _locked(path.with_name(RECORD), command, PATIENCE):
        mend(path.with_name(RECORD))  # a run may have been killed while it wrote that
        record = Record.read(path.parent)
        record.add(temporary, path.name, command)
        _write_record(record, path.parent)
        replace(temporary, path)
        record.settle(path.parent)
        _write_record(record, path.parent)


def _write_record(record: Record, folder: Path) -> None:
    with whole(folder / RECORD) as part:
        record.write_to(part)


def _open_workshop(folder: Path, command: str, patterns: tuple[str, ...]) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise BertZhError(f"{folder} is a file, but '{command}' works in a folder of that name")
    folder.mkdir(exist_ok=True)
    if Record.read(folder).workshop == command:
        for rest, _ in list(leftovers(folder)):
            remove(rest)
    else:
        patterns = ()
    for entry in entries(folder):
        known = any(fnmatch(entry.name, pattern) for pattern in (RECORD, *patterns))
        if not known and not dropping(entry):
            raise BertZhError(
                f"'{command}' works in {folder}, but it holds {entry.name}, and nothing says that "
                f"'{command}' made it: move the folder away, or name another output"
            )
    _write_record(Record(workshop=command), folder)


@contextmanager
def _locked(path: Path, command: str, patience: float = 0) -> Iterator[None]:
    """Be the only one who works at `path`. The system ends a lock with its process."""
    from filelock import FileLock, Timeout

    file = path.with_name(f".{short_name(path)}.lock")
    lock = FileLock(file, timeout=patience, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise BertZhError(f"{path} is in use by {_holder(file)}: wait for it, or end it") from None
    try:
        file.write_text(f"{command} (process {os.getpid()} on {socket.gethostname()})", "utf-8")
        yield
    finally:
        # While it is held: who has opened it meanwhile sees that, and makes a new one.
        with contextlib.suppress(OSError):
            file.unlink()
        lock.release()


def _holder(file: Path) -> str:
    with contextlib.suppress(OSError, UnicodeError):
        return file.read_text("utf-8") or "another run"
    return "another run"
