"""The linear head on a backbone's vectors, and how it starts."""

import math
import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from spacy.tokens import Doc
from thinc.api import Adam, Model
from thinc.types import Floats1d, Floats2d, FloatsXd

from spacy_bert_zh.textcat.attributes import Factor

START_STEPS, START_RATE, START_PENALTY = 150, 0.3, 1 / 3
"""Of the logistic regression that a head starts as; the penalty was chosen on shop reviews
and on parts of training texts."""

Item = TypeVar("Item")

# A label added to a trained softmax starts improbable, so the others keep their scores.
NEW_LABEL_BIAS = -10.0
_SMALLEST = 1e-6


def build_head(
    exclusive_classes: bool, nO: int | None, rate: float | None = None, activate: bool = True
) -> Model[Floats2d, Floats2d]:
    """Build a linear layer from vectors to scores.

    Args:
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        nO: Number of labels; None takes it from the data.
        rate: How much faster it learns than the backbone, and then it sees the vectors about
            their mean, in units of their spread; None leaves vectors and rate as they are.
        activate: Whether scores come out, not logits.

    Returns:
        Vectors to scores or logits: shape (documents, width) to (documents, labels).
    """
    scaled: dict[str, Any] = {} if rate is None else {"mean": None, "scale": None}
    return Model(
        "bert_textcat_head",
        _forward,
        init=_init,
        dims={"nO": nO, "nI": None},
        params={"W": None, "b": None, **scaled},
        attrs={
            "exclusive_classes": exclusive_classes,
            "activate": activate,
            **({} if rate is None else {"head_rate": Factor(rate)}),
        },
    )


def activate(head: Model[Floats2d, Floats2d], logits: Floats2d) -> Floats2d:
    """Logits to scores, both of shape (documents, labels)."""
    activation = head.ops.softmax if head.attrs["exclusive_classes"] else head.ops.sigmoid
    return activation(logits)


def plain_weights(head: Model[Floats2d, Floats2d]) -> tuple[Floats2d, Floats1d]:
    """Weights (labels, width) and bias (labels,) that do the same to vectors as they are."""
    W, b = cast(Floats2d, head.get_param("W")), cast(Floats1d, head.get_param("b"))
    if not head.has_param("scale"):
        return W, b
    W = W * _factors(head)
    return W, b - W @ head.get_param("mean")


def set_plain_weights(head: Model[Floats2d, Floats2d], weights: Any, bias: Any) -> None:
    """Let a head do to vectors what such weights do to them as they are; see `plain_weights`."""
    W, b = head.ops.asarray2f(weights), head.ops.asarray1f(bias)
    if head.has_param("scale"):
        factors = _factors(head)
        b = b + W @ head.get_param("mean")
        # A direction without any spread has no part in the answer.
        W = cast(Floats2d, W / head.ops.xp.where(factors != 0, factors, 1.0))
    head.set_param("W", W)
    head.set_param("b", b)


def draw(items: Iterable[Item], size: int) -> list[Item]:
    """So many of the items, each as likely as any other, never more in memory; always the same.

    All of them, in their order, if there are no more (algorithm R, Vitter 1985).
    """
    choose, drawn = random.Random(0), list[Item]()
    for number, item in enumerate(items):
        if number < size:
            drawn.append(item)
        elif (place := choose.randrange(number + 1)) < size:
            drawn[place] = item
    return drawn


def start(
    model: Model[list[Doc], Floats2d], docs: list[Doc], truths: Floats2d, known: Floats2d
) -> None:
    """Let the head of a model start as a logistic regression on the vectors as they are.

    A head that starts from nothing sends noise into the backbone until it has learnt something
    (Kumar et al. 2022, arXiv 2202.10054: linear probing, then fine-tuning). One that sees vectors
    as they are starts from nothing, and so does one whose vectors are all the same, as those of a
    shared transformer that hasn't read the texts yet.

    Args:
        model: Initialised, with the references "backbone" and "output_layer".
        docs: Texts that it will learn from.
        truths: Their labels; shape (documents, labels).
        known: 0 where a label isn't known, else 1; shape (documents, labels) or (documents, 1).
    """
    head = model.get_ref("output_layer")
    if not head.has_param("scale") or not docs:
        return
    vectors = model.get_ref("backbone").predict(docs)
    if not _spread(vectors).any():
        return
    _set_scale(head, vectors)
    parts = float(model.attrs.get("parts", 1))
    # Multiplies the weights, and here their steps are the same.
    rate = parts * float(head.attrs["head_rate"])
    optimizer = Adam(START_RATE / rate, L2=0.0, grad_clip=0.0)
    for _ in range(START_STEPS):
        logits, backprop = head.begin_update(vectors)
        alone = parts * logits - (parts - 1) * head.get_param("b")
        scores = logits if head.attrs["activate"] else activate(head, alone)
        backprop((scores - truths) * known / len(docs))
        head.inc_grad("W", START_PENALTY / len(docs) * rate**2 * head.get_param("W"))
        head.finish_update(optimizer)


def _spread(vectors: Floats2d) -> Floats1d:
    """Standard deviations, 0 where it is only rounding; shape (width,)."""
    spread = cast(Any, vectors).std(axis=0)
    return cast(Floats1d, spread * (spread > _SMALLEST * max(float(spread.max()), _SMALLEST)))


def _set_scale(head: Model[Floats2d, Floats2d], vectors: Floats2d) -> None:
    """Remember the mean of vectors, and what brings them to a length of about 1."""
    spread = cast(Any, _spread(vectors))
    if not spread.any():  # one text, or always the same: nothing is known
        spread = spread + 1.0
    known = spread > 0
    scale = known / head.ops.xp.where(known, spread, 1.0) / math.sqrt(vectors.shape[1])
    head.set_param("mean", head.ops.asarray1f(vectors.mean(axis=0)))
    head.set_param("scale", head.ops.asarray1f(scale))


def _factors(head: Model[Floats2d, Floats2d]) -> FloatsXd:
    # Multiplied weights learn so much faster under Adam.
    return cast(FloatsXd, float(head.attrs["head_rate"]) * head.get_param("scale"))


def _init(model: Model[Floats2d, Floats2d], X: Any = None, Y: Any = None) -> None:
    if X is not None:
        model.set_dim("nI", X.shape[1])
    if Y is not None:
        model.set_dim("nO", Y.shape[1])
    labels, width = model.get_dim("nO"), model.get_dim("nI")
    model.set_param("W", model.ops.alloc2f(labels, width))
    bias = model.ops.alloc1f(labels)
    if not model.attrs["exclusive_classes"]:
        # Start from one label in all (a prior as in Lin et al. 2017, section 4.1), or the bias
        # spends the whole of a fine-tuning on the way down from 0.5.
        bias -= math.log(max(labels - 1, 1))
    model.set_param("b", bias)
    if "scale" in model.param_names:
        _set_scale(model, model.ops.alloc2f(1, width) if X is None else X)


def _forward(
    model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    W = cast(Floats2d, model.get_param("W"))
    factors = _factors(model) if model.has_param("scale") else None
    seen = X if factors is None else (X - model.get_param("mean")) * factors
    logits = model.ops.gemm(seen, W, trans2=True) + model.get_param("b")
    scores = activate(model, logits) if model.attrs["activate"] else logits

    def backprop(d_logits: Floats2d) -> Floats2d:
        # spaCy's textcats hand down scores - truths: the gradient of cross-entropy with
        # respect to the logits, for softmax and sigmoid alike (Bishop 2006, eq. 4.109, 4.91).
        model.inc_grad("W", model.ops.gemm(d_logits, seen, trans1=True))
        model.inc_grad("b", d_logits.sum(axis=0))
        d_seen = model.ops.gemm(d_logits, W)
        return d_seen if factors is None else cast(Floats2d, d_seen * factors)

    return scores, backprop


def resized_head(old: Model[Floats2d, Floats2d], nO: int) -> Model[Floats2d, Floats2d]:
    """A head for more labels; thinc lets nobody change the size of one that has parameters."""
    new = build_head(
        old.attrs["exclusive_classes"], nO, old.attrs.get("head_rate"), old.attrs["activate"]
    )
    if old.has_param("W"):
        known, width = old.get_dim("nO"), old.get_dim("nI")
        W, b = new.ops.alloc2f(nO, width), new.ops.alloc1f(nO) + NEW_LABEL_BIAS
        W[:known] = cast(Floats2d, old.get_param("W"))
        b[:known] = cast(Floats1d, old.get_param("b"))
        new.set_dim("nI", width)
        new.set_param("W", W)
        new.set_param("b", b)
        for name in ("mean", "scale"):
            if old.has_param(name):
                new.set_param(name, old.get_param(name))
    return new
