"""The gradients of a pipeline's parameters, added up over processes in one bucket.

thinc's layers and torch's networks keep theirs in different ways; here they are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, cast

import torch
from thinc.api import Model
from thinc.types import FloatsXd
from thinc.util import torch2xp, xp2torch

from spacy_bert_zh.ranks import Group

TABLE = 4096
"""Rows from which a matrix is a table, of pieces or n-grams, of which a batch touches few."""

Place = torch.Tensor | EllipsisType | None
"""The rows of a parameter that have learnt something; all of it, or nothing."""


@dataclass(frozen=True)
class OfLayer:
    """A parameter of one of thinc's layers."""

    node: Model[Any, Any]
    name: str

    @property
    def weights(self) -> torch.Tensor:
        """As they are."""
        return xp2torch(self.node.get_param(self.name))

    def set_weights(self, weights: torch.Tensor) -> None:
        """Let it have them where they are."""
        self.node.set_param(self.name, cast(FloatsXd, torch2xp(weights)))

    @property
    def gradient(self) -> torch.Tensor | None:
        """In the layer's own memory; None where there is none."""
        has = self.node.has_grad(self.name)
        return xp2torch(self.node.get_grad(self.name)) if has else None

    def set_gradient(self, gradient: torch.Tensor) -> None:
        """Give it one."""
        self.node.set_grad(self.name, cast(FloatsXd, torch2xp(gradient)))


@dataclass(frozen=True)
class OfNetwork:
    """A parameter of a network in torch."""

    parameter: torch.nn.Parameter

    @property
    def weights(self) -> torch.Tensor:
        """As they are."""
        return self.parameter.data

    def set_weights(self, weights: torch.Tensor) -> None:
        """Let it have them where they are."""
        self.parameter.data = weights

    @property
    def gradient(self) -> torch.Tensor | None:
        """As torch keeps it; None where there is none."""
        return self.parameter.grad

    def set_gradient(self, gradient: torch.Tensor) -> None:
        """Give it one."""
        self.parameter.grad = gradient


Parameter = OfLayer | OfNetwork


def find_parameters(models: Sequence[Model[Any, Any]]) -> Iterator[Parameter]:
    """What models have to learn, in the same order in every process."""
    for node in (node for model in models for node in model.walk()):
        yield from (OfLayer(node, name) for name in node.param_names if node.has_param(name))
        for shim in node.shims:
            yield from (OfNetwork(one) for one in shim._model.parameters())


def rescale(parameters: Sequence[Parameter], factor: float) -> None:
    """Multiply the gradients that there are."""
    for parameter in parameters:
        if parameter.gradient is not None:
            parameter.gradient.mul_(factor)


def add_up(
    group: Group, parameters: Sequence[Parameter], weight: float, values: Sequence[float]
) -> list[float]:
    """Let every process have the weighted sum of all processes' gradients.

    A parameter that has a gradient in one of them has one in all of them afterwards.

    Args:
        group: The processes.
        parameters: The same ones in each of them.
        weight: Of this process's gradients.
        values: Numbers to add up along with them.

    Returns:
        The sums of the values.
    """
    places = zip(parameters, _find_places(group, parameters), strict=True)
    learning = [(parameter, place) for parameter, place in places if place is not None]
    pieces = [gradient_of(parameter)[place] for parameter, place in learning]
    last = parameters[0].weights.new_tensor(values)
    bucket = torch.cat([*(weight * piece.flatten() for piece in pieces), last])
    group.sum(bucket)
    *sums, totals = bucket.split([*(piece.numel() for piece in pieces), len(last)])
    for (parameter, place), piece, found in zip(learning, pieces, sums, strict=True):
        gradient_of(parameter)[place] = found.view(piece.shape)
    return cast(list[float], totals.tolist())


def gradient_of(parameter: Parameter) -> torch.Tensor:
    """A gradient, which is 0 if there was none."""
    if parameter.gradient is None:
        parameter.set_gradient(torch.zeros_like(parameter.weights))
    return cast(torch.Tensor, parameter.gradient)


def _find_places(group: Group, parameters: Sequence[Parameter]) -> list[Place]:
    """Where some process has a gradient."""
    marks = [mark for parameter in parameters for mark in _mark(parameter)]
    every = torch.cat(marks)
    group.sum(every)
    found = iter(every.split([len(mark) for mark in marks]))
    places: list[Place] = []
    for parameter in parameters:
        touched = bool(next(found))
        rows = next(found).nonzero().flatten() if is_table(parameter) else ...
        places.append(rows if touched else None)
    return places


def _mark(parameter: Parameter) -> Iterator[torch.Tensor]:
    """Whether there is a gradient, and of a table where."""
    weights, gradient = parameter.weights, parameter.gradient
    yield torch.tensor([gradient is not None], dtype=torch.int32, device=weights.device)
    if is_table(parameter) and gradient is None:
        yield torch.zeros(len(weights), dtype=torch.int32, device=weights.device)
    elif is_table(parameter):
        yield touched_rows(cast(torch.Tensor, gradient)).int()


def touched_rows(gradient: torch.Tensor) -> torch.Tensor:
    """Which rows of a table's gradient aren't 0; bool, shape (rows,)."""
    return gradient.any(dim=1)


def is_table(parameter: Parameter) -> bool:
    """Whether a batch touches few of its rows; see `TABLE`."""
    shape = parameter.weights.shape
    return len(shape) == 2 and shape[0] >= TABLE
