"""Any backbone and a linear head on its vectors, alone or beside a linear model of n-grams.

``spacy_bert_zh.BertTextCat.v1`` and ``spacy_bert_zh.BertTextCatEnsemble.v1``.
"""

import math
from collections.abc import Callable
from typing import Any, cast

from spacy.tokens import Doc
from thinc.api import Dropout, Model, chain
from thinc.types import Floats1d, Floats2d

from spacy_bert_zh.textcat.attributes import Factor

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


def build_bert_text_cat_ensemble_v1(
    backbone: Model[list[Doc], Floats2d],
    linear_model: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    linear_rate: float = 50.0,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build a BERT and a linear model that learn together, their logits added.

    A small BERT knows few rare words, a linear model knows nothing else: they err on different
    texts ("wide and deep", Cheng et al. 2016, eq. 3). spaCy's ``TextCatEnsemble`` does the same
    for its tok2vec.

    Args:
        backbone: Documents to vectors, shape (documents, width).
        linear_model: Documents to logits, shape (documents, labels), such as
            ``spacy_bert_zh.NgramLinear.v1``.
        dropout: Share of the vector dropped in training; `training.dropout` replaces it.
        linear_rate: Its logits are multiplied by this, which under Adam makes it learn as many
            times faster than the backbone: weights that start from nothing want a higher rate.
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        nO: Number of labels; None takes it from the data.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    vectors: Model[list[Doc], Floats2d] = chain(backbone, Dropout(dropout))
    head = _build_head(exclusive_classes, nO, activate=False)
    model: Model[list[Doc], Floats2d] = Model(
        "bert_textcat_ensemble",
        _forward_ensemble,
        init=_init_ensemble,
        dims={"nO": nO},
        layers=[vectors, head, linear_model],
        attrs={
            "multi_label": not exclusive_classes,
            "linear_rate": Factor(linear_rate),
            "resize_output": _resize_ensemble,
        },
    )
    model.set_ref("backbone", backbone)
    model.set_ref("output_layer", head)
    return model


def _init_ensemble(model: Model[list[Doc], Floats2d], X: Any = None, Y: Any = None) -> None:
    vectors, head, linear_model = model.layers
    vectors.initialize(X=X)
    head.initialize(X=None if X is None else vectors.predict(X), Y=Y)
    linear_model.initialize(X=X, Y=Y)
    model.set_dim("nO", head.get_dim("nO"))


def _forward_ensemble(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    vectors, head, linear_model = model.layers
    rate = model.attrs["linear_rate"]
    X, back_vectors = vectors(docs, is_train)
    logits, back_head = head(X, is_train)
    linear, back_linear = linear_model(docs, is_train)

    def backprop(d_logits: Floats2d) -> list[Doc]:
        back_linear(rate * d_logits)
        return cast(list[Doc], back_vectors(back_head(d_logits)))

    return _activate(head, logits + rate * linear), backprop


def _resize_ensemble(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels; called by spaCy's `add_label`."""
    _, head, linear_model = model.layers
    model.layers[1] = _resized_head(head, nO)
    model.set_ref("output_layer", model.layers[1])
    model.layers[2] = linear_model.attrs["resize_output"](linear_model, nO)
    model.set_dim("nO", nO, force=True)
    return model


def _build_head(
    exclusive_classes: bool, nO: int | None, activate: bool = True
) -> Model[Floats2d, Floats2d]:
    return Model(
        "bert_textcat_head",
        _forward,
        init=_init,
        dims={"nO": nO, "nI": None},
        params={"W": None, "b": None},
        attrs={"exclusive_classes": exclusive_classes, "activate": activate},
    )


def _activate(head: Model[Floats2d, Floats2d], logits: Floats2d) -> Floats2d:
    activation = head.ops.softmax if head.attrs["exclusive_classes"] else head.ops.sigmoid
    return activation(logits)


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
    scores = _activate(model, logits) if model.attrs["activate"] else logits

    def backprop(d_logits: Floats2d) -> Floats2d:
        # spaCy's textcats hand down scores - truths: the gradient of cross-entropy with
        # respect to the logits, for softmax and sigmoid alike (Bishop 2006, eq. 4.109, 4.91).
        model.inc_grad("W", model.ops.gemm(d_logits, X, trans1=True))
        model.inc_grad("b", d_logits.sum(axis=0))
        return model.ops.gemm(d_logits, W)

    return scores, backprop


def _resize(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels; called by spaCy's `add_label`."""
    # thinc lets nobody change the size of a layer that has parameters: take a new one.
    model.layers[-1] = _resized_head(model.get_ref("output_layer"), nO)
    model.set_ref("output_layer", model.layers[-1])
    if model.has_dim("nO"):
        model.set_dim("nO", nO, force=True)
    return model


def _resized_head(old: Model[Floats2d, Floats2d], nO: int) -> Model[Floats2d, Floats2d]:
    new = _build_head(old.attrs["exclusive_classes"], nO, old.attrs["activate"])
    if old.has_param("W"):
        known, width = old.get_dim("nO"), old.get_dim("nI")
        W, b = new.ops.alloc2f(nO, width), new.ops.alloc1f(nO) + _NEW_LABEL_BIAS
        W[:known] = cast(Floats2d, old.get_param("W"))
        b[:known] = cast(Floats1d, old.get_param("b"))
        new.set_dim("nI", width)
        new.set_param("W", W)
        new.set_param("b", b)
    return new
