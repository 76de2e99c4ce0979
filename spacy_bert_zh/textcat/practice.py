"""How a component learns from a batch: once, with two dropouts, against noise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.perturbation import Perturbation
from spacy_bert_zh.textcat.networks import shims_of

Adversarial = Literal["fgm", "pgd", "freelb"]

STEPS = 3
"""Of an adversary that takes several; the papers take 2 to 5."""


@dataclass(frozen=True)
class Practice:
    """How a component learns; the default is plainly.

    Attributes:
        r_drop: Weight of the difference between two answers to the same text with different
            dropouts (R-Drop, Liang et al. 2021, arXiv 2106.14448, eq. 4: alpha); 0 asks once.
        adversarial: Learn from the worst of the texts' neighbours as well: ``fgm`` goes one step
            (Miyato et al. 2017, arXiv 1605.07725), ``pgd`` three and learns from the last (Madry
            et al. 2018, arXiv 1706.06083), ``freelb`` three and learns from all of them (Zhu
            et al. 2020, arXiv 1909.11764, algorithm 1, from no noise).
        epsilon: How far the neighbours are, in lengths of a window's embeddings.

    Raises:
        BertZhError: A value is out of range or unknown.
    """

    r_drop: float = 0.0
    adversarial: Adversarial | None = None
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.r_drop < float("inf"):
            raise BertZhError(f"r_drop = {self.r_drop} must be 0 or more")
        if self.adversarial not in (None, "fgm", "pgd", "freelb"):
            raise BertZhError(
                f"adversarial = {self.adversarial!r} must be 'fgm', 'pgd', 'freelb' or null"
            )
        if not 0.0 < self.epsilon <= 1.0:
            raise BertZhError(f"adversarial_epsilon = {self.epsilon} must be in (0, 1]")


Backprop = Callable[[list[Floats2d]], None]

Pass = Callable[[bool], tuple[list[Floats2d], Backprop]]
"""Answers of a model's parts, or of its network alone, and what takes the gradients by their
logits."""

Graded = Callable[[Floats2d], tuple[float, Floats2d]]
"""Of scores, (documents, labels): a loss, and its gradient by the logits."""


def learn(model: Model[list[Doc], Floats2d], ask: Pass, grade: Graded, practice: Practice) -> float:
    """Let a model learn from a batch; its gradients grow, its weights stay.

    Args:
        model: Of a component of ours.
        ask: Lets it answer.
        grade: Says what answers are worth.
        practice: How.

    Returns:
        The loss of the plain pass.

    Raises:
        BertZhError: An adversary needs a backbone that it can't reach.
    """
    if practice.adversarial is None:
        return _once(ask, grade)
    with perturbed(model, practice.adversarial) as noise:
        loss = _once(ask, grade)
        steps = 1 if practice.adversarial == "fgm" else STEPS
        # As in the papers: together the steps may go farther than the noise may be long.
        step = practice.epsilon if steps == 1 else 1.5 * practice.epsilon / steps
        for number in range(1, steps + 1):
            noise.ascend(step, practice.epsilon)
            noise.searches = practice.adversarial == "pgd" and number < steps
            share = 1 / steps if practice.adversarial == "freelb" else 1.0
            with _as_before(model, noise.searches):
                _once(ask, grade, share, network_only=True)
    return loss


def _once(ask: Pass, grade: Graded, share: float = 1.0, network_only: bool = False) -> float:
    answers, backprop = ask(network_only)
    found = [grade(scores) for scores in answers]
    backprop([cast(Floats2d, share * gradient) for _, gradient in found])
    return sum(loss for loss, _ in found) / len(found)


@contextmanager
def perturbed(model: Model[list[Doc], Floats2d], method: str) -> Iterator[Perturbation]:
    """Let a model's backbone compute with noise for a while.

    Raises:
        BertZhError: The model has no backbone that can.
    """
    shims = shims_of(model)
    if len(shims) != 1 or not getattr(shims[0], "can_perturb", False):
        raise BertZhError(
            f"adversarial = '{method}' needs one backbone of its own that learns "
            "(spacy_bert_zh.TorchBackbone.v1 or KerasBackbone.v1), which this pipeline hasn't: "
            "set adversarial = null"
        )
    (shim,) = shims
    shim.perturbation = Perturbation(model.ops)
    try:
        yield shim.perturbation
    finally:
        shim.perturbation = None


@contextmanager
def _as_before(model: Model[list[Doc], Floats2d], wanted: bool) -> Iterator[None]:
    """Take back what the head's own parameters were about to learn meanwhile."""
    head = model.get_ref("output_layer")
    names = [name for name in head.param_names if wanted and head.has_grad(name)]
    kept = {name: head.get_grad(name).copy() for name in names}
    yield
    for name, gradient in kept.items():
        head.set_grad(name, gradient)


def disagreement(scores: Floats2d, alpha: float, exclusive: bool, xp: Any) -> tuple[float, Any]:
    """How much two answers to the same texts differ, and the gradient by the logits of both.

    Half the sum of the Kullback–Leibler divergences of each from the other, averaged over the
    documents, times alpha (Liang et al. 2021, eq. 2); of several labels the sum over them.

    Args:
        scores: The first answers, then the second ones; shape (2 · documents, labels).
        alpha: Its weight.
        exclusive: Whether a document has exactly one label.
        xp: NumPy or CuPy.

    Returns:
        The loss, and a gradient shaped like `scores`.
    """
    size = len(scores) // 2
    p = xp.clip(scores, 1e-7, 1.0 - 1e-7)
    q = xp.concatenate([p[size:], p[:size]])
    if exclusive:
        ratio = xp.log(p) - xp.log(q)
        divergence = (p * ratio).sum(axis=1, keepdims=True)
        slope = p * (ratio - divergence)
    else:
        ratio = xp.log(p / (1.0 - p)) - xp.log(q / (1.0 - q))
        # KL(p, q) = p · (logit p - logit q) + log(1 - p) - log(1 - q)
        divergence = (p * ratio + xp.log(1.0 - p) - xp.log(1.0 - q)).sum(axis=1, keepdims=True)
        slope = p * (1.0 - p) * ratio
    factor = alpha / (2 * size)
    return float(factor * divergence.sum()), factor * (slope + p - q)
