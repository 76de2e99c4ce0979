"""Outputs that appear whole or not at all."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path` and move it there when the block succeeds.

    Works for a file and for a folder (the block creates whichever it wants). An older
    output of the same name is replaced only at the very end; when the block raises,
    the temporary output is removed and the older one stays as it was.
    """
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # On shared storage, a process elsewhere may have the same number.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.part")
    remove(temporary)
    try:
        yield temporary
        replace(temporary, path)
    finally:
        remove(temporary)


def replace(source: Path, target: Path) -> None:
    """Move `source` to `target`, replacing a file or a folder that is there."""
    if not target.is_dir():
        os.replace(source, target)
        return
    # A folder that isn't empty can't be replaced in one step: move it aside first.
    aside = target.with_name(f".{target.name}.{os.getpid()}.old")
    remove(aside)
    os.replace(target, aside)
    os.replace(source, target)
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
