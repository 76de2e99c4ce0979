"""The optimizer's work shared out among processes that see the same memory.

As ZeRO's first stage (Rajbhandari et al. 2020, arXiv 1910.02054, section 5.1): each process adds up
the gradients of its part of every parameter, and changes that part alone. Weights, moments and
averages lie where all processes of a machine see them, so nothing is sent: what one writes, the
others have, and the first saves the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from thinc.api import Optimizer

from spacy_bert_zh.backbones.torch import FusedAdam
from spacy_bert_zh.ranks import Group, map_memory
from spacy_bert_zh.train.gradients import Parameter, gradient_of, is_table, touched_rows

LINE = 64
"""Bytes that a processor takes from memory at once: what follows begins at the next."""
KEPT = 8
"""Weights, two moments and averages, twice: a checkpoint may bring others."""


@dataclass(frozen=True)
class _Said:
    """What one process tells the others of its gradients, in the order of the parameters.

    Attributes:
        gradients: Times the process's weight; of tables only rows that are touched.
        there: 1 where there is a gradient; shape (parameters,).
        touched: Of each table, 1 for each row that the gradient touches; None of others.
    """

    gradients: list[torch.Tensor]
    there: torch.Tensor
    touched: list[torch.Tensor | None]


class SharedMemory:
    """What all processes learn, where each of them sees it.

    Args:
        group: The processes.
        parameters: What they learn.
        memory: Zeros that all of them see, see `_room`.
    """

    def __init__(self, group: Group, parameters: Sequence[Parameter], memory: torch.Tensor) -> None:
        self._group, self._memory, self._used = group, memory, 0
        self._said = [self._begin(parameters) for _ in range(group.world)]

    def _begin(self, parameters: Sequence[Parameter]) -> _Said:
        shapes = [one.weights.shape for one in parameters]
        touched = [
            self._take(shape[:1], torch.uint8) if is_table(one) else None
            for one, shape in zip(parameters, shapes, strict=True)
        ]
        gradients = [self._take(shape) for shape in shapes]
        return _Said(gradients, self._take((len(shapes),), torch.uint8), touched)

    def _take(self, shape: Sequence[int], kind: torch.dtype = torch.float32) -> torch.Tensor:
        """The next piece of memory, the same in every process."""
        size = torch.Size(shape).numel() * kind.itemsize
        begin, self._used = self._used, self._used + -(-size // LINE) * LINE
        return self._memory[begin : begin + size].view(kind).view(torch.Size(shape))

    def add_up(
        self, parameters: Sequence[Parameter], weight: float, values: Sequence[float]
    ) -> list[float]:
        """Let every process have its part of the weighted sum of all gradients.

        What else a gradient has afterwards is of no use. See `gradients.add_up`.
        """
        self._say(parameters, weight)
        self._group.wait()
        for number, parameter in enumerate(parameters):
            self._hear(number, parameter, weight)
        sums = torch.tensor(values, dtype=torch.float64)
        self.sum(sums)  # and nobody says anything new before all have heard
        return cast(list[float], sums.tolist())

    def _say(self, parameters: Sequence[Parameter], weight: float) -> None:
        """Write down for the others what they add to their parts."""
        said = self._said[self._group.rank]
        for number, parameter in enumerate(parameters):
            gradient, touched = parameter.gradient, said.touched[number]
            said.there[number] = gradient is not None
            if gradient is None:
                continue
            for rank in range(self._group.world):
                if rank == self._group.rank:
                    continue
                theirs, place = (
                    self._part(one, rank) for one in (gradient, said.gradients[number])
                )
                if touched is None:
                    torch.mul(theirs, weight, out=place)
                    continue
                rows = touched_rows(theirs)
                self._part(touched, rank).copy_(rows)
                place[rows] = weight * theirs[rows]

    def _hear(self, number: int, parameter: Parameter, weight: float) -> None:
        """Add up this process's part of a gradient."""
        there = [rank for rank, said in enumerate(self._said) if said.there[number]]
        if not there:
            return
        parameter.set_weights(self.shared(parameter.weights))
        mine = self.part(gradient_of(parameter)).mul_(weight)
        for said in (self._said[rank] for rank in there if rank != self._group.rank):
            given, touched = self.part(said.gradients[number]), said.touched[number]
            rows = ... if touched is None else self.part(touched).bool()
            mine[rows] += given[rows]

    def part(self, tensor: torch.Tensor) -> torch.Tensor:
        """This process's part of a tensor, along its first dimension."""
        return self._part(tensor, self._group.rank)

    def _part(self, tensor: torch.Tensor, rank: int) -> torch.Tensor:
        begin, end = (len(tensor) * one // self._group.world for one in (rank, rank + 1))
        return tensor[begin:end]

    def shared(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor that all processes have, where they see it: itself, if it lies there already."""
        begin = self._memory.data_ptr()
        if begin <= tensor.data_ptr() < begin + len(self._memory):
            return tensor
        place = self._take(tensor.shape)
        self.part(place).copy_(self.part(tensor))
        return place

    def sum(self, tensor: torch.Tensor) -> None:
        """Add up a small tensor over all processes, in place."""
        self._group.sum(tensor)

    def wait(self) -> None:
        """Until all processes have changed their parts."""
        self._group.wait()


def share_memory(
    group: Group, parameters: Sequence[Parameter], optimizer: Optimizer
) -> SharedMemory | None:
    """Let an optimizer change this process's part of what all of them learn.

    Args:
        group: The processes.
        parameters: What they learn.
        optimizer: Of all of it.

    Returns:
        Where all of them see it; None where the optimizer, the devices or the system can't.
    """
    on_cpu = all(one.weights.device.type == "cpu" for one in parameters)
    if not isinstance(optimizer, FusedAdam) or not on_cpu:
        return None
    memory = map_memory(group, _room(parameters, group.world))
    if memory is None:
        return None
    optimizer.shares = SharedMemory(group, parameters, memory)
    return optimizer.shares


def _room(parameters: Sequence[Parameter], world: int) -> int:
    """Bytes of all that may be taken; what never is costs nothing."""
    sizes = [one.weights.numel() * one.weights.itemsize + LINE for one in parameters]
    return (KEPT + 2 * world) * sum(sizes)
