"""The models behind the architectures: a head on a backbone, alone or beside a linear model."""

from collections.abc import Callable
from typing import Any, cast

from spacy.tokens import Doc
from thinc.api import Dropout, Model, chain
from thinc.types import Floats1d, Floats2d

from spacy_bert_zh.textcat.attributes import Factor
from spacy_bert_zh.textcat.head import activate, resized_head
from spacy_bert_zh.textcat.ngrams import rescale_table


def build_alone(
    backbone: Model[list[Doc], Floats2d], dropout: float, head: Model[Floats2d, Floats2d]
) -> Model[list[Doc], Floats2d]:
    """Build backbone → dropout → head; see `build_bert_text_cat_v2`."""
    model: Model[list[Doc], Floats2d] = chain(backbone, Dropout(dropout), head)
    model.set_ref("backbone", backbone)
    model.set_ref("output_layer", head)
    model.attrs["multi_label"] = not head.attrs["exclusive_classes"]
    model.attrs["resize_output"] = _resize
    return model


def build_ensemble(
    backbone: Model[list[Doc], Floats2d],
    linear_model: Model[list[Doc], Floats2d],
    dropout: float,
    linear_rate: float,
    head: Model[Floats2d, Floats2d],
    parts: float,
) -> Model[list[Doc], Floats2d]:
    """Build a BERT and a linear model, whose logits are added.

    Args:
        backbone: See `build_bert_text_cat_ensemble_v2`.
        linear_model: See `build_bert_text_cat_ensemble_v2`.
        dropout: See `build_bert_text_cat_ensemble_v2`.
        linear_rate: What the linear model's logits are multiplied by.
        head: Of the network.
        parts: Of the answer's logits the network gives such a part of what it would say alone.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    vectors: Model[list[Doc], Floats2d] = chain(backbone, Dropout(dropout))
    model: Model[list[Doc], Floats2d] = Model(
        "bert_textcat_ensemble",
        _forward_ensemble,
        init=_init_ensemble,
        dims={"nO": head.get_dim("nO") if head.has_dim("nO") else None},
        layers=[vectors, head, linear_model],
        attrs={
            "multi_label": not head.attrs["exclusive_classes"],
            "linear_rate": Factor(linear_rate),
            "parts": Factor(parts),
            "resize_output": _resize_ensemble,
        },
    )
    model.set_ref("backbone", backbone)
    model.set_ref("output_layer", head)
    return model


def rescale(model: Model[list[Doc], Floats2d], slopes: Any, shifts: Any) -> None:
    """Multiply the logits of a trained model and add to them, by its weights alone.

    Args:
        model: Of one of the architectures here, or ``spacy_bert_zh.NgramTextCat.v1``.
        slopes: Factor of each label's logit; shape (labels,).
        shifts: What is then added; shape (labels,).
    """
    slopes, shifts = (model.ops.asarray1f(values) for values in (slopes, shifts))
    alone, biased = model.has_ref("ngrams"), last_layer(model)
    biased.set_param("b", biased.get_param("b") * slopes + shifts)
    if not alone:
        biased.set_param("W", biased.get_param("W") * slopes[:, None])
    if alone or model.name == "bert_textcat_ensemble":
        rescale_table(model.layers[-1], slopes)


def last_layer(model: Model[list[Doc], Floats2d]) -> Model[Any, Any]:
    """The layer of a classifier of ours that has its bias, and what a calibration remembers."""
    return model if model.has_ref("ngrams") else model.get_ref("output_layer")


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
    rate = float(model.attrs["linear_rate"])
    X, back_vectors = vectors(docs, is_train)
    logits, back_head = head(X, is_train)
    linear, back_linear = linear_model(docs, is_train)

    def backprop(d_logits: Floats2d) -> list[Doc]:
        back_linear(rate * d_logits)
        return cast(list[Doc], back_vectors(back_head(d_logits)))

    return activate(head, logits + rate * linear), backprop


def learns_apart(model: Model[list[Doc], Floats2d]) -> bool:
    """Whether the parts of a model have losses of their own: see `begin_apart`."""
    return float(model.attrs.get("parts", 1)) > 1


def begin_apart(
    model: Model[list[Doc], Floats2d], docs: list[Doc], network_only: bool = False
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], None]]:
    """Let each half of an ensemble answer alone, to learn from its own faults.

    Args:
        model: A `spacy_bert_zh.BertTextCatEnsemble.v3`.
        docs: The batch.
        network_only: Whether the linear model is left out.

    Returns:
        Scores of the network and of the linear model, each of shape (documents, labels), and what
        takes the gradients by the logits of both.
    """
    vectors, head, linear_model = model.layers
    rate, parts = float(model.attrs["linear_rate"]), float(model.attrs["parts"])
    X, back_vectors = vectors.begin_update(docs)
    logits, back_head = head.begin_update(X)
    bias = cast(Floats1d, head.get_param("b"))

    def back_network(gradients: list[Floats2d]) -> None:
        # The bias is both halves' own, whole in each.
        head.inc_grad("b", -(parts - 1) * gradients[0].sum(axis=0))
        back_vectors(back_head(parts * gradients[0]))

    network = activate(head, parts * logits - (parts - 1) * bias)
    if network_only:
        return [network], back_network
    linear, back_linear = linear_model.begin_update(docs)

    def backprop(gradients: list[Floats2d]) -> None:
        back_linear(parts * rate * gradients[1])
        head.inc_grad("b", gradients[1].sum(axis=0))
        back_network(gradients)

    return [network, activate(head, parts * rate * linear + bias)], backprop


def _resize_ensemble(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels; called by spaCy's `add_label`."""
    _, head, linear_model = model.layers
    model.layers[1] = resized_head(head, nO)
    model.set_ref("output_layer", model.layers[1])
    model.layers[2] = linear_model.attrs["resize_output"](linear_model, nO)
    model.set_dim("nO", nO, force=True)
    return model


def _resize(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels; called by spaCy's `add_label`."""
    # thinc lets nobody change the size of a layer that has parameters: take a new one.
    model.layers[-1] = resized_head(model.get_ref("output_layer"), nO)
    model.set_ref("output_layer", model.layers[-1])
    if model.has_dim("nO"):
        model.set_dim("nO", nO, force=True)
    return model
