"""Errors that users see as a single line."""

import errno
import os
import re

_WAYS_OUT = {
    errno.ENOSPC: "make room there, or name an output on another disk",
    errno.EDQUOT: "make room within the quota, or name an output on another disk",
    errno.EFBIG: "name an output on a disk that allows files of that size (see also ulimit -f)",
    errno.EROFS: "name an output on a disk that can be written to",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of the path is a file: name another place",
    errno.EISDIR: "name a file, not a folder",
    errno.EEXIST: "name another place, or move it away",
    errno.ELOOP: "mend the symbolic links, or name another place",
    errno.EBUSY: "something uses it (is it a mounted disk?): name a folder inside it",
    errno.EXDEV: "name a place that is not split between disks",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.EIO: "check the disk",
    errno.ESTALE: "check the network disk",
    errno.ENOMEM: "free some memory, or make batches smaller",
}
# As libraries tell that in exceptions of other kinds: Rust's end so; others quote the system.
_RUST = re.compile(r"\(os error (\d+)\)")
_QUOTED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc")


class BertZhError(ValueError):
    """Bad input that the user can mend: says what, where and the way out.

    The command line prints the message alone and exits with code 1.
    """


def missing_extra(package: str, extra: str, purpose: str) -> BertZhError:
    """The error for an optional dependency that is not installed.

    Args:
        package: Name of the missing package, e.g. ``"torch"``.
        extra: The extra of this project that brings it, e.g. ``"torch"``.
        purpose: What needs it, e.g. a registered name or a command.
    """
    return BertZhError(
        f"{purpose} needs the package '{package}', which is not installed: "
        f'pip install "spacy-bert-zh[{extra}]"'
    )


def system_error(error: BaseException) -> OSError | None:
    """What the system refused, also where a library wraps it in an exception of its own."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, BertZhError) or not isinstance(error, Exception):
        return None
    text = str(error)
    if found := _RUST.search(text):
        number = int(found[1])
        return OSError(number, os.strerror(number))
    if "database or disk is full" in text:  # SQLite
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for number in _QUOTED:
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None


def wants_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, as Python, torch, CUDA and C++ say it."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY)


def explain(error: OSError) -> str:
    """What the system refused, where, and the way out, in one line."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    what = error.strerror or " ".join(str(error).split()) or type(error).__name__
    line = ": ".join([*(" → ".join(names),) * bool(names), what])
    way_out = _WAYS_OUT.get(error.errno or 0)
    return f"{line}: {way_out}" if way_out else line
