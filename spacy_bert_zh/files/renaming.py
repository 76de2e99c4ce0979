"""Paths that are replaced in one step, and what killed processes leave behind."""

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

# Half-made; worked in for it; moved aside to be put back; to be removed.
PART, WORK, OLD, GONE = ENDINGS = "part", "work", "old", "gone"
# As many bytes of a name are kept; file systems allow 255, and host and number are added.
LONGEST = 120

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CANNOT_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


def beside(path: Path, ending: str) -> Path:
    """A name of this process' own beside `path`."""
    # On shared storage, a process elsewhere may have the same number.
    return path.with_name(f".{short_name(path)}.{socket.gethostname()}.{os.getpid()}.{ending}")


def short_name(path: Path) -> str:
    """The name, with its end made a hash if there would be no room for more behind it."""
    raw = os.fsencode(path.name)
    if len(raw) <= LONGEST:
        return path.name
    kept = raw[: LONGEST - 17].decode("utf-8", "ignore")
    return f"{kept}-{hashlib.blake2b(raw, digest_size=8).hexdigest()}"


def leftovers(folder: Path, name: str = "") -> Iterator[tuple[Path, str]]:
    """What killed runs that worked in a folder (at a name there) left, and the ending of each."""
    of = re.escape(name) if name else ".+"
    pattern = re.compile(rf"\.{of}\.[^.]+(\.[^.]+)*\.\d+\.({'|'.join(ENDINGS)})(\.keras)?")
    if folder.is_dir():
        for entry in sorted(os.listdir(folder)):
            if found := pattern.fullmatch(entry):
                yield folder / entry, found[2]


def mend(path: Path) -> None:
    """Put back what was moved aside, and remove what is left of runs that were killed.

    Nothing else may work at `path` meanwhile.
    """
    for rest, ending in leftovers(path.parent, short_name(path)):
        if ending == OLD and not os.path.lexists(path):
            os.replace(rest, path)
        else:
            remove(rest)


def replace(source: Path, target: Path) -> None:
    """Move `source` to `target`; a file or folder that is there is gone then.

    On Linux there is no moment without a target. Elsewhere a process that is killed between two
    steps leaves the older one beside it, and `mend` puts it back.
    """
    if not target.is_dir():
        os.replace(source, target)
    elif exchange(source, target):
        remove(source)
    else:
        aside = beside(target, OLD)
        os.replace(target, aside)
        os.replace(source, target)
        discard(aside, target)


def discard(path: Path, named: Path | None = None) -> None:
    """Remove a file or folder such that no half of it is ever seen at its place.

    Args:
        path: What to remove, if it is there.
        named: Whose leftover it is should this process be killed; else its own.
    """
    if os.path.lexists(path):
        gone = beside(named or path, GONE)
        remove(gone)
        os.replace(path, gone)
        remove(gone)


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where system or file system can't."""
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if call(*names, _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


@contextlib.contextmanager
def made_parents(folder: Path) -> Iterator[None]:
    """Make a folder and those above it for a block; remove those again that it left empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()
