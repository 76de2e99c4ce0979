"""Memory that all processes of one machine see."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from spacy_bert_zh.ranks.group import Group, number_of

if TYPE_CHECKING:
    import torch


def map_memory(group: Group, size: int) -> torch.Tensor | None:
    """Map memory that belongs to all processes; the system takes it back when they have ended.

    It has no name and lies in no file system, such as /dev/shm, which is small in containers.

    Args:
        group: The processes; each calls this.
        size: In bytes. What nobody touches takes no room.

    Returns:
        Zeros, uint8, shape (size,); None where the processes are on several machines, or the system
        isn't Linux.
    """
    import torch

    if number_of("LOCAL_WORLD_SIZE", 1) != group.world or not hasattr(os, "memfd_create"):
        return None
    descriptor, path = -1, ""
    if group.is_first:
        descriptor = os.memfd_create("spacy_bert_zh")
        os.ftruncate(descriptor, size)
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
    path = group.tell(path)
    try:
        with open(path, "r+b") as file:
            found = mmap.mmap(file.fileno(), size)
    except OSError:  # processes that may not see each other
        found = None
    everywhere = all(group.gather(b"1" if found else b""))
    if group.is_first:
        os.close(descriptor)
    return torch.frombuffer(found, dtype=torch.uint8) if found and everywhere else None
