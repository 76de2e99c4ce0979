"""``spacy_bert_zh.BertTextCat.v1``: any backbone, and a linear head on its vectors."""

import math
from collections.abc import Callable
from typing import Any, cast

from spacy.tokens import Doc
from thinc.api import Dropout, Model, chain
from thinc.types import Floats1d, Floats2d

# A label added to a trained softmax starts improbable, so the others keep their scores.
_NEW_LABEL_BIAS = -10.0


def build_bert_text_cat_v1(
    backbone: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build backbone → dropout → linear head, for our factories and spaCy's own.

    Args:
        backbone: Documents to vectors, shape (documents, width).
        dropout: Share of the vector dropped in training; `training.dropout` replaces it.
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        nO: Number of labels; None takes it from the data.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    head = _build_head(exclusive_classes, nO)
    model: Model[list[Doc], Floats2d] = chain(backbone, Dropout(dropout), head)
    model.set_ref("backbone", backbone)
    model.set_ref("output_layer", head)
    model.attrs["multi_label"] = not exclusive_classes
    model.attrs["resize_output"] = _resize
    return model


def _build_head(exclusive_classes: bool, nO: int | None) -> Model[Floats2d, Floats2d]:
    return Model(
        "bert_textcat_head",
        _forward,
        init=_init,
        dims={"nO": nO, "nI": None},
        params={"W": None, "b": None},
        attrs={"exclusive_classes": exclusive_classes},
    )


def _init(model: Model[Floats2d, Floats2d], X: Any = None, Y: Any = None) -> None:
    if X is not None:
        model.set_dim("nI", X.shape[1])
    if Y is not None:
        model.set_dim("nO", Y.shape[1])
    labels = model.get_dim("nO")
    model.set_param("W", model.ops.alloc2f(labels, model.get_dim("nI")))
    bias = model.ops.alloc1f(labels)
    if not model.attrs["exclusive_classes"]:
        # Start from one label in all (a prior as in Lin et al. 2017, section 4.1), or the bias
        # spends the whole of a fine-tuning on the way down from 0.5.
        bias -= math.log(max(labels - 1, 1))
    model.set_param("b", bias)


def _forward(
    model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    W = cast(Floats2d, model.get_param("W"))
    logits = model.ops.gemm(X, W, trans2=True) + model.get_param("b")
    exclusive = model.attrs["exclusive_classes"]
    scores = model.ops.softmax(logits) if exclusive else model.ops.sigmoid(logits)

    def backprop(d_logits: Floats2d) -> Floats2d:
        # spaCy's textcats hand down scores - truths: the gradient of cross-entropy with
        # respect to the logits, for softmax and sigmoid alike (Bishop 2006, eq. 4.109, 4.91).
        model.inc_grad("W", model.ops.gemm(d_logits, X, trans1=True))
        model.inc_grad("b", d_logits.sum(axis=0))
        return model.ops.gemm(d_logits, W)

    return scores, backprop


def _resize(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels; called by spaCy's `add_label`."""
    old = model.get_ref("output_layer")
    new = _build_head(old.attrs["exclusive_classes"], nO)
    if old.has_param("W"):
        known, width = old.get_dim("nO"), old.get_dim("nI")
        W, b = new.ops.alloc2f(nO, width), new.ops.alloc1f(nO) + _NEW_LABEL_BIAS
        W[:known] = cast(Floats2d, old.get_param("W"))
        b[:known] = cast(Floats1d, old.get_param("b"))
        new.set_dim("nI", width)
        new.set_param("W", W)
        new.set_param("b", b)
    # thinc lets nobody change the size of a layer that has parameters: take a new one.
    model.layers[-1] = new
    model.set_ref("output_layer", new)
    if model.has_dim("nO"):
        model.set_dim("nO", nO, force=True)
    return model
