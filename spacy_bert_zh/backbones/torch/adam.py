"""``spacy_bert_zh.Adam.v1``: thinc's Adam for all parameters in few passes over the memory.

thinc computes each step, and each parameter, for itself: on a GPU that is hundreds of tiny kernels,
on a CPU five ways through the memory where two do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

from thinc.api import Optimizer
from thinc.backends import get_array_ops
from thinc.optimizers import ADAM_DEFAULTS, FloatOrSeq
from thinc.types import FloatsXd
from thinc.util import xp2torch

if TYPE_CHECKING:
    import torch

Key = tuple[int, str]


def build_adam_v1(
    learn_rate: FloatOrSeq = ADAM_DEFAULTS["learn_rate"],
    *,
    L2: FloatOrSeq = ADAM_DEFAULTS["L2"],
    beta1: FloatOrSeq = ADAM_DEFAULTS["beta1"],
    beta2: FloatOrSeq = ADAM_DEFAULTS["beta2"],
    eps: FloatOrSeq = ADAM_DEFAULTS["eps"],
    grad_clip: FloatOrSeq = ADAM_DEFAULTS["grad_clip"],
    L2_is_weight_decay: bool = cast(bool, ADAM_DEFAULTS["L2_is_weight_decay"]),
    use_averages: bool = True,
) -> Optimizer:
    """Build an optimizer that does what thinc's ``Adam.v1`` does; see there for the arguments.

    Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1) with decoupled weight decay (Loshchilov &
    Hutter 2019, arXiv 1711.05101, algorithm 2), each parameter's gradient clipped by its norm,
    and averages of the weights.
    """
    return FusedAdam(
        learn_rate,
        L2=L2,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        grad_clip=grad_clip,
        L2_is_weight_decay=L2_is_weight_decay,
        use_averages=use_averages,
    )


class Shares(Protocol):
    """Several processes that each change a part of every parameter, in memory that all see."""

    def shared(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same where all see it; the tensor itself, if it lies there."""

    def part(self, tensor: torch.Tensor) -> torch.Tensor:
        """The part of a tensor that this process changes."""

    def sum(self, tensor: torch.Tensor) -> None:
        """Add up over all processes, in place."""

    def wait(self) -> None:
        """Until all have done their part."""


class FusedAdam(Optimizer):
    """Its state is thinc's, in the same places.

    Attributes:
        shares: With whom it shares the work, if with anybody. All processes then call it alike,
            with weights that all see, and gradients that are right in this process's part.
    """

    shares: Shares | None = None

    def __call__(
        self, key: Key, weights: FloatsXd, gradient: FloatsXd, *, lr_scale: float = 1.0
    ) -> tuple[FloatsXd, FloatsXd]:
        """Change one parameter in place, and make its gradient 0."""
        self.update_all([(key, xp2torch(weights), xp2torch(gradient), lr_scale)])
        gradient.fill(0.0)
        return weights, gradient

    def update_all(
        self, parameters: Iterable[tuple[Key, torch.Tensor, torch.Tensor, float]]
    ) -> None:
        """Change parameters in place; their gradients are undefined after it.

        Args:
            parameters: Of each its key, its weights, their gradient (all on one device), and how
                much slower it learns.
        """
        groups: defaultdict[tuple[float, int], list[Any]] = defaultdict(list)
        for key, weights, gradient, scale in parameters:
            if weights.numel():
                self.nr_update[key] += 1
                groups[scale, self.nr_update[key]].append((key, weights.detach(), gradient))
        for (scale, count), group in groups.items():
            self._update(group, scale, count)
        if self.shares is not None:
            self.shares.wait()

    def _update(self, group: list[Any], scale: float, count: int) -> None:
        import torch

        keys, weights, gradients = (list(column) for column in zip(*group, strict=True))
        first, second = (self._state(kept, keys, weights) for kept in (self.mom1, self.mom2))
        averages = [] if self.averages is None else self._state(self.averages, keys, weights)
        if self.shares is not None:
            weights, gradients, averages, first, second = (
                [self.shares.part(one) for one in tensors]
                for tensors in (weights, gradients, averages, first, second)
            )
        decay = self.learn_rate * scale * self.L2 if self.L2_is_weight_decay else 0.0
        if self.L2 and not self.L2_is_weight_decay:
            torch._foreach_add_(gradients, weights, alpha=self.L2)
        self._clip(gradients)
        torch._fused_adamw_(
            weights,
            gradients,
            first,
            second,
            [],
            list(torch.full((len(keys),), float(count), device=weights[0].device).unbind()),
            # thinc decays the weights after the step, torch before it.
            lr=float(self.learn_rate * scale * (1.0 - decay)),
            weight_decay=self.L2 / (1.0 - decay) if decay else 0.0,
            beta1=self.b1,
            beta2=self.b2,
            # thinc adds it before the second moment is corrected.
            eps=self.eps / (1.0 - self.b2**count) ** 0.5,
            amsgrad=False,
            maximize=False,
        )
        if averages:
            # As thinc's update_averages, which forgets faster at first.
            share = 1.0 - min((1.0 + count) / (10.0 + count), 0.9999)
            torch._foreach_lerp_(averages, weights, share)

    def _clip(self, gradients: list[torch.Tensor]) -> None:
        import torch

        if not self.grad_clip:
            return
        # One look at the device for all of them.
        lengths = torch.stack(torch._foreach_norm(gradients))
        if self.shares is not None:
            squares = lengths.double().square()
            self.shares.sum(squares)
            lengths = squares.sqrt()
        norms = lengths.tolist()
        longer = [number for number, norm in enumerate(norms) if norm > self.grad_clip]
        if longer:
            factors = [self.grad_clip / norms[number] for number in longer]
            torch._foreach_mul_([gradients[number] for number in longer], factors)

    def _state(
        self, kept: dict[Key, Any], keys: list[Key], weights: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """What is kept of parameters, seen as tensors of their shapes."""
        found = []
        for key, one in zip(keys, weights, strict=True):
            if key not in kept:
                flat = kept is not self.averages
                ops = get_array_ops(_array(one))
                kept[key] = ops.alloc((one.numel(),) if flat else tuple(one.shape), dtype="float32")
            state = xp2torch(kept[key], device=one.device).view(one.shape)
            if self.shares is not None:
                state = self.shares.shared(state)
                kept[key] = _array(state.view(kept[key].shape))
            found.append(state)
        return found


def _array(tensor: torch.Tensor) -> FloatsXd:
    from thinc.util import torch2xp

    return cast(FloatsXd, torch2xp(tensor))
