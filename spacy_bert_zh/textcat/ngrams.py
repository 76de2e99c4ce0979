"""A linear model of character n-grams, and a text classifier that is nothing else.

``spacy_bert_zh.NgramLinear.v1``, ``v2`` and ``spacy_bert_zh.NgramTextCat.v1``.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, to_numpy
from thinc.types import Floats1d, Floats2d, Ints1d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import texts_of
from spacy_bert_zh.textcat.attributes import Factor, Size
from spacy_bert_zh.textcat.hashing import NgramTable, find_rows, ngram_features
from spacy_bert_zh.textcat.head import NEW_LABEL_BIAS, activate

SCALE = "scale"
"""The parameter by which a table in eight bits is multiplied; shape (labels,)."""
KEYS = "keys"
"""The parameter that tells the hash value of each row, sorted; shape (rows,). In `NgramLinear.v1`,
which has none, every hash value has a row."""
HASHES = 2**24
"""Hash values where rows have keys: as many as float32 tells apart, which thinc makes of all
parameters that go to a GPU."""


def build_ngram_linear_v1(
    ngram_size: int = 3, length: int = 2**18, nO: int | None = None
) -> Model[list[Doc], Floats2d]:
    """Build a linear model that learns with the rest of the pipeline, by its optimizer.

    Args:
        ngram_size: See `build_ngram_linear_v2`.
        length: Rows of the table that n-grams are hashed into (Weinberger et al. 2009).
        nO: See `build_ngram_linear_v2`.

    Returns:
        Documents to logits, shape (documents, labels); those of an empty text are 0.

    Raises:
        BertZhError: A number is below 1.
    """
    return _build(ngram_size, length, nO, solved=False)


def build_ngram_linear_v2(
    ngram_size: int = 3, length: int = 2**18, nO: int | None = None
) -> Model[list[Doc], Floats2d]:
    """Build a linear model on the characters of the text, whatever its tokens are.

    It is solved when a component of ours is initialised, see `ridge`, and then stays as it is.
    spaCy's ``TextCatBOW`` learns the same of tokens, with plain counts; here the counts are damped
    and brought to length 1, as a linear SVM on TF-IDF has them, so that long texts weigh no more
    than short ones. An n-gram that no training text has adds nothing.

    Args:
        ngram_size: N-grams of one to so many characters.
        length: The most rows of the table. Where the training texts have more n-grams, those of
            one text are left out, then those of two, until the others fit.
        nO: Number of labels; None takes it from the data.

    Returns:
        Documents to logits, shape (documents, labels); those of an empty text are 0.

    Raises:
        BertZhError: A number is below 1.
    """
    return _build(ngram_size, length, nO, solved=True)


def _build(
    ngram_size: int, length: int, nO: int | None, solved: bool
) -> Model[list[Doc], Floats2d]:
    if ngram_size < 1 or length < 1:
        raise BertZhError(f"ngram_size = {ngram_size} and length = {length} must be 1 or more")
    return Model(
        "ngram_linear",
        _forward,
        init=_init,
        dims={"nO": nO, "nI": length},
        params={"W": None},
        attrs={"ngram_size": Size(ngram_size), "resize_output": _resize, "solved": Size(solved)},
    )


def is_solved(model: Model[list[Doc], Floats2d]) -> bool:
    """Whether a linear model is solved once, and doesn't learn from batches."""
    return bool(model.attrs.get("solved"))


def build_ngram_text_cat_v1(
    linear_model: Model[list[Doc], Floats2d],
    linear_rate: float = 50.0,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build a text classifier of n-grams alone: tens of thousands of texts a second.

    Args:
        linear_model: Documents to logits, shape (documents, labels), such as
            ``spacy_bert_zh.NgramLinear.v1``.
        linear_rate: Its logits are multiplied by this, which under Adam makes it learn as many
            times faster than `training.optimizer` says, as in `BertTextCatEnsemble`.
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        nO: Number of labels; None takes it from the data.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    model: Model[list[Doc], Floats2d] = Model(
        "ngram_textcat",
        _forward_alone,
        init=_init_alone,
        dims={"nO": nO},
        params={"b": None},
        layers=[linear_model],
        attrs={
            "multi_label": not exclusive_classes,
            "exclusive_classes": exclusive_classes,
            "linear_rate": Factor(linear_rate),
            "resize_output": _resize_alone,
        },
    )
    model.set_ref("ngrams", linear_model)
    return model


def _init(model: Model[list[Doc], Floats2d], X: Any = None, Y: Any = None) -> None:
    if Y is not None:
        model.set_dim("nO", Y.shape[1])
    rows = 0 if is_solved(model) else model.get_dim("nI")
    model.set_param("W", model.ops.alloc2f(rows, model.get_dim("nO")))


def _forward(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    learns = is_train and not is_solved(model)
    if learns and model.has_param(SCALE):
        _widen(model)
    ops, W = model.ops, cast(Floats2d, model.get_param("W"))
    if is_train and is_solved(model) and not model.has_param(KEYS):
        raise BertZhError(
            "NgramLinear.v2 is solved by `initialize` of our components, and knows nothing yet: "
            "initialise with labelled texts, or take NgramLinear.v1 in a component of spaCy's own"
        )
    owners, hashes, shares = ngram_features(texts_of(docs), *hashing_of(model))
    known, found = find_rows(keys_of(model), hashes)
    texts, rows = (ops.asarray1i(cast(Ints1d, places)) for places in (owners[known], found))
    weights = ops.asarray2f(cast(Floats2d, shares[known, None]))
    logits = ops.alloc2f(len(docs), W.shape[1])
    ops.scatter_add(logits, texts, W[rows] * weights)
    if model.has_param(SCALE):
        logits *= cast(Floats1d, model.get_param(SCALE))

    def backprop(d_logits: Floats2d) -> list[Doc]:
        if not learns:
            return []
        if not model.has_grad("W"):
            model.set_grad("W", ops.alloc2f(*W.shape))
        # Few of its rows: adding a whole table would take longer than all the rest.
        ops.scatter_add(cast(Floats2d, model.get_grad("W")), rows, d_logits[texts] * weights)
        return []

    return logits, backprop


def hashing_of(model: Model[list[Doc], Floats2d]) -> tuple[int, int]:
    """The longest n-gram of a linear model, and how many hash values it knows."""
    length = HASHES if is_solved(model) else model.get_dim("nI")
    return model.attrs["ngram_size"], length


def keys_of(model: Model[list[Doc], Floats2d]) -> NDArray[np.int32] | None:
    """The hash values of a linear model's rows; None where each has one. See `NgramTable`."""
    if not model.has_param(KEYS):
        return np.zeros(0, dtype=np.int32) if is_solved(model) else None
    return cast(NDArray[np.int32], to_numpy(model.get_param(KEYS)).astype("int32", copy=False))


def table_of(model: Model[list[Doc], Floats2d]) -> NgramTable:
    """The table of a linear model."""
    weights = to_numpy(_floats(model))
    return NgramTable(weights, *hashing_of(model), keys_of(model))


def weights_of(model: Model[list[Doc], Floats2d], hashes: NDArray[np.int64]) -> NDArray[np.float32]:
    """What n-grams of these hash values add to logits; shape (n-grams, labels)."""
    weights = np.zeros((len(hashes), model.get_dim("nO")), dtype=np.float32)
    known, rows = find_rows(keys_of(model), hashes)
    weights[known] = to_numpy(_floats(model, rows))
    return weights


def set_table(model: Model[list[Doc], Floats2d], table: NgramTable) -> None:
    """Give a linear model other weights."""
    model.set_param("W", model.ops.asarray2f(cast(Any, table.weights)))
    model.set_param(SCALE, None)
    keys = None if table.keys is None else model.ops.xp.asarray(table.keys, dtype="int32")
    model.set_param(KEYS, cast(Any, keys))


def _floats(model: Model[list[Doc], Floats2d], rows: Any = slice(None)) -> Floats2d:
    W = cast(Floats2d, model.get_param("W")[rows])
    return W * model.get_param(SCALE) if model.has_param(SCALE) else W


def quantize_table(model: Model[list[Doc], Floats2d], share: float = 0.25) -> None:
    """Keep a linear model's table in eight bits: a fourth of the size, as good for classifying.

    Each label has a step of its own, a share of how far its weights spread (their standard
    deviation where they aren't 0), or more where the largest wouldn't fit. Learning makes floats of
    it again. A table that is in eight bits stays as it is.
    """
    if model.has_param(SCALE):
        return
    ops, W = model.ops, _floats(model)
    counts = ops.xp.maximum((W != 0).sum(axis=0), 1)
    spread = ops.xp.sqrt((W**2).sum(axis=0) / counts)
    step = ops.xp.maximum(share * spread, abs(W).max(axis=0) / 127)
    step = ops.xp.maximum(step, 1e-12).astype("float32")
    model.set_param("W", ops.xp.rint(W / step).astype("int8"))
    model.set_param(SCALE, step)


def rescale_table(model: Model[list[Doc], Floats2d], slopes: Floats1d) -> None:
    """Multiply the logits of a linear model, each label's by its own factor; (labels,)."""
    name = SCALE if model.has_param(SCALE) else "W"
    model.set_param(name, cast(Floats2d, model.get_param(name) * slopes))


def _widen(model: Model[list[Doc], Floats2d]) -> None:
    model.set_param("W", _floats(model))
    model.set_param(SCALE, None)


def _resize(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels, whose logits are 0."""
    new = _build(model.attrs["ngram_size"], model.get_dim("nI"), nO, is_solved(model))
    if model.has_param("W"):
        old = _floats(model)
        W = new.ops.alloc2f(len(old), nO)
        W[:, : old.shape[1]] = old
        new.set_param("W", W)
    if model.has_param(KEYS):
        new.set_param(KEYS, model.get_param(KEYS))
    return new


def _init_alone(model: Model[list[Doc], Floats2d], X: Any = None, Y: Any = None) -> None:
    (linear_model,) = model.layers
    linear_model.initialize(X=X, Y=Y)
    model.set_dim("nO", linear_model.get_dim("nO"))
    model.set_param("b", model.ops.alloc1f(model.get_dim("nO")))


def _forward_alone(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    (linear_model,), rate = model.layers, float(model.attrs["linear_rate"])
    linear, back_linear = linear_model(docs, is_train)

    def backprop(d_logits: Floats2d) -> list[Doc]:
        model.inc_grad("b", d_logits.sum(axis=0))
        return cast(list[Doc], back_linear(rate * d_logits))

    logits = cast(Floats2d, rate * linear + model.get_param("b"))
    return activate(cast(Any, model), logits), backprop


def _resize_alone(model: Model[list[Doc], Floats2d], nO: int) -> Model[list[Doc], Floats2d]:
    """Make room for new labels, improbable ones: the others keep their scores."""
    (old,) = model.layers
    larger = old.attrs["resize_output"](old, nO)
    exclusive = model.attrs["exclusive_classes"]
    # thinc lets nobody change the size of a layer that has parameters: take a new one.
    new = build_ngram_text_cat_v1(larger, float(model.attrs["linear_rate"]), exclusive, nO)
    if model.has_param("b"):
        bias = model.ops.alloc1f(nO) + NEW_LABEL_BIAS
        bias[: model.get_dim("nO")] = cast(Floats1d, model.get_param("b"))
        new.set_param("b", bias)
    return new
