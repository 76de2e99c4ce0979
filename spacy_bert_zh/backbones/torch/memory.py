"""Freed memory goes back to the system.

torch asks glibc for aligned blocks, and glibc (up to 2.37) hardly uses a freed one again for
another aligned block (bug 14581): a training that needs 1 GB would hold 10 after some minutes.
"""

import ctypes
import sys
import time
from functools import cache
from typing import Any

SECONDS = 5.0
"""Time between two returns: each costs some 50 ms where there is much to give."""

_last = time.monotonic()


def give_back() -> None:
    """Return freed memory, if the last time is long enough ago; nothing to do but on glibc."""
    global _last
    if time.monotonic() - _last < SECONDS:
        return
    if trim := _trim():
        trim(0)
    _last = time.monotonic()


@cache
def _trim() -> Any:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return getattr(libc, "malloc_trim", None)
