"""The processes of one run, and what they tell each other.

torchrun, or `launch`, numbers them in the environment. What they say goes through
torch.distributed: gloo between CPUs, nccl between GPUs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeVar

from spacy_bert_zh.errors import BertZhError, missing_extra

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(days=7)
"""How long one process waits for another, which may be reading; one that has died is noticed."""
GRACE = 5.0
"""Seconds in which whoever has started the processes ends those that have lost another, and says
why."""

Item = TypeVar("Item")


def is_first() -> bool:
    """Whether this process is the one that writes: the first of a run, or alone."""
    return number_of("RANK", 0) == 0


@contextmanager
def joined(gpu: bool = False) -> Iterator[Group]:
    """Meet the other processes of a run for a block; alone, if the environment names none.

    Only the first prints anything.

    Args:
        gpu: Whether each computes on a GPU of its own.

    Raises:
        BertZhError: The environment makes no sense, torch isn't there, or another process ended.
    """
    group = Group(number_of("RANK", 0), number_of("WORLD_SIZE", 1))
    if group.alone:
        yield Group()  # whatever its number
        return
    try:
        import torch.distributed as dist
    except ImportError:
        raise missing_extra("torch", "torch", "training in several processes") from None
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BertZhError(
            f"Process {group.rank} of {group.world} can't meet the others: {reason}; start them "
            "with torchrun, or with --processes"
        ) from error
    try:
        with nullcontext() if group.is_first else _silence():
            yield group
    finally:
        dist.destroy_process_group()


@contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def local_rank() -> int:
    """The number of this process among those of its machine."""
    return number_of("LOCAL_RANK", 0)


def number_of(name: str, alone: int) -> int:
    """What torchrun has put into a variable of the environment; without it, `alone`.

    Raises:
        BertZhError: It isn't a number.
    """
    value = os.environ.get(name, str(alone))
    if not value.isdecimal():
        raise BertZhError(f"The variable {name} is {value!r}: torchrun sets it to a number")
    return int(value)


@dataclass(frozen=True)
class Group:
    """The processes of a run; each calls the same methods in the same order.

    Attributes:
        rank: The number of this one.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.world == 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, items: Iterable[Item], length: Callable[[Item], int]) -> list[Item]:
        """This process's part of something that all of them have.

        Dealt to and fro from the longest to the shortest: however work grows with length, nobody
        waits long for another.

        Examples:
            >>> Group(1, 2).share(["a", "bb", "ccc", "dddd"], len)
            ['ccc', 'bb']
        """
        ranks = range(self.world)
        turns = cycle((*ranks, *reversed(ranks)))
        longest = sorted(items, key=length, reverse=True)
        return [item for item, rank in zip(longest, turns, strict=False) if rank == self.rank]

    def sum(self, tensor: torch.Tensor) -> None:
        """Add up a tensor over all processes, in place; all end with the same bits."""
        import torch.distributed as dist

        with _in_touch(self):
            dist.all_reduce(tensor)

    def wait(self) -> None:
        """Until all processes have come here."""
        import torch.distributed as dist

        with _in_touch(self):
            dist.barrier()

    def broadcast(self, data: bytes) -> bytes:
        """What the first process has."""
        import torch
        import torch.distributed as dist

        if self.alone:
            return data
        with _in_touch(self):
            size = torch.tensor([len(data)])
            dist.broadcast(size, 0)
            tensor = _tensor(data if self.is_first else bytes(int(size)))
            dist.broadcast(tensor, 0)
        return tensor.numpy().tobytes()

    def gather(self, data: bytes) -> list[bytes]:
        """What each process has, by rank; the same in all of them."""
        import torch
        import torch.distributed as dist

        with _in_touch(self):
            sizes = [torch.tensor([0]) for _ in range(self.world)]
            dist.all_gather(sizes, torch.tensor([len(data)]))
            longest = int(max(sizes))
            found = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
            dist.all_gather(found, _tensor(data.ljust(longest, b"\0")))
        return [
            tensor[: int(size)].numpy().tobytes() for tensor, size in zip(found, sizes, strict=True)
        ]

    def tell(self, value: Any) -> Any:
        """What the first process has, as JSON keeps it."""
        if self.alone:
            return value
        return json.loads(self.broadcast(json.dumps(value, default=float).encode()))

    def check_same(self, value: str, what: str) -> None:
        """Make sure that all processes have what the first one has.

        Args:
            value: This one's.
            what: Says in the error what it is, and the way out.

        Raises:
            BertZhError: This one has something else.
        """
        if self.tell(value) != value:
            raise BertZhError(f"Process {self.rank} of {self.world} has {what}")


def _tensor(data: bytes) -> torch.Tensor:
    import torch

    return torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8)[: len(data)]


@contextmanager
def _in_touch(group: Group) -> Iterator[None]:
    """Say in one line that another process has gone.

    Raises:
        BertZhError: It has.
    """
    try:
        yield
    except RuntimeError as error:
        time.sleep(GRACE)
        raise BertZhError(
            f"Process {group.rank} of {group.world} has lost another one, which ended: run all of "
            "them again, a training with --resume"
        ) from error
