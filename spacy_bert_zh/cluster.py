"""Ray: a cluster that is there, or one of this machine's own for as long as it is needed."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

# Nothing is reported to anyone; Ray reads this when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.exceptions import RayTaskError

from spacy_bert_zh.errors import BertZhError

MEMORY = 300_000_000
"""Bytes of Ray's object store on this machine: what passes between processes is small."""
PATIENCE = 10.0
"""Seconds until an address that doesn't answer is a wrong one; Ray itself tries for minutes."""


@contextmanager
def ray_running(cpus: int) -> Iterator[None]:
    """Have Ray for a block: as this process has it already, at RAY_ADDRESS, or started here.

    Args:
        cpus: Processes that may work at a time where Ray is started here, whether or not the
            machine has as many cores.

    Raises:
        BertZhError: There is no Ray at RAY_ADDRESS.
    """
    if ray.is_initialized():
        yield
        return
    _start(os.environ.get("RAY_ADDRESS", ""), cpus)
    try:
        yield
    finally:
        ray.shutdown()


def _start(address: str, cpus: int) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address and address != "local":
            _knock(address)
            ray.init(address, **quiet)
        else:
            ray.init(
                "local",
                num_cpus=cpus,
                object_store_memory=MEMORY,
                include_dashboard=False,
                **quiet,
            )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BertZhError(
            f"Can't start Ray (RAY_ADDRESS={address or 'unset'}): {reason}"
        ) from error


def _knock(address: str) -> None:
    """Try whether anything listens at an address that has a port: "auto" has none.

    Raises:
        OSError: Nothing does.
        ValueError: The port is no number, or too large.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.port:
        socket.create_connection((place.hostname or "", place.port), PATIENCE).close()


def mendable(error: Exception) -> BertZhError | None:
    """What went wrong in a process of Ray's, if the user can mend it."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    # Ray adds lines about retries.
    return BertZhError(str(cause).splitlines()[0]) if isinstance(cause, BertZhError) else None
