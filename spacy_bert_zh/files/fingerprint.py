"""What tells one run from another: what it does, and the files it reads."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(what: object, inputs: Iterable[Path]) -> str:
    """A digest of a run's options and of the paths, sizes and times of its inputs.

    Args:
        what: Anything whose `repr` says what the run does.
        inputs: Files, and folders with all that is in them; what isn't there says nothing.
    """
    stats = [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns)
        for path in inputs
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if "__pycache__" not in file.parts and file.exists()
    ]
    described = repr((what, stats))
    return hashlib.blake2b(described.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def contents(inputs: Iterable[Path]) -> str:
    """A digest of what stands in files, and in folders with all that is in them."""
    made = hashlib.blake2b(digest_size=16)
    for path in inputs:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as opened:
                    part = hashlib.file_digest(opened, "blake2b")
                made.update(f"{file.relative_to(path)}:".encode("utf-8", "surrogateescape"))
                made.update(part.digest())
    return made.hexdigest()
