"""A cascade: where the n-grams of an ensemble are sure, they answer, and its BERT never reads.

After Viola and Jones (2001): the cheap half sees every text, the dear one those it leaves. What
"sure" is, is fitted to a corpus (see `compress`), with a bound on how many answers differ.
"""

from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from spacy.tokens import Doc
from thinc.api import Model, to_numpy
from thinc.types import Floats1d, Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import Documents, Reading
from spacy_bert_zh.textcat.head import activate
from spacy_bert_zh.untrusted import Closed

Positive = Annotated[float, Field(gt=0)]
NGRAMS, NETWORK = "ngrams", "network"
"""Which half of an ensemble answered, as ``doc._.bert_textcat`` says."""


class Cascade(Closed):
    """When the n-grams of an ensemble answer alone.

    Attributes:
        margin: From this difference on between their two best logits.
        temperature: Their logits are divided by this before the softmax, so that the scores mean
            what those of the whole ensemble mean (Guo et al. 2017, arXiv 1706.04599).
    """

    margin: Positive
    temperature: Positive


def check_cascade(model: Model[list[Doc], Floats2d], name: str) -> None:
    """Whether a model can have a cascade.

    Raises:
        BertZhError: It has no n-grams beside its BERT, or its labels don't exclude each other.
    """
    if model.name != "bert_textcat_ensemble":
        raise BertZhError(
            f"'{name}' can't have a cascade: no n-grams stand beside its BERT, as they do in "
            "spacy_bert_zh.BertTextCatEnsemble.v4"
        )
    if model.attrs["multi_label"]:
        raise BertZhError(
            f"'{name}' can't have a cascade: its labels don't exclude each other, and a cascade "
            "is for classifiers that give exactly one"
        )


def margins(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Differences between the two best logits: shape (texts, labels) to (texts,)."""
    best = np.partition(logits, -2, axis=1)[:, -2:]
    return cast(NDArray[np.float32], best[:, 1] - best[:, 0])


def halves(
    model: Model[list[Doc], Floats2d], docs: list[Doc]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the n-grams of an ensemble say alone, and what both its halves say together.

    Returns:
        Logits of shape (documents, labels) each; the network reads all documents.
    """
    linear = _linear(model, docs)
    return to_numpy(linear), to_numpy(linear + _network(model, docs))


def answer(
    model: Model[list[Doc], Floats2d], docs: Documents, cascade: Cascade
) -> tuple[Floats2d, Documents]:
    """Answer for documents; the network reads those it must.

    Args:
        model: An ensemble with exclusive labels.
        docs: The documents; their ``readings`` say which half answered.
        cascade: When the n-grams answer.

    Returns:
        Scores, shape (documents, labels), and the documents that reached the network.
    """
    linear = _linear(model, docs)
    unsure = margins(to_numpy(linear)) < cascade.margin
    scores = activate(model.get_ref("output_layer"), linear / cascade.temperature)
    rest = Documents(doc for doc, asks in zip(docs, unsure, strict=True) if asks)
    if rest:
        rows = model.ops.asarray1i(cast(Any, np.flatnonzero(unsure)))
        logits: Floats2d = linear[rows] + _network(model, rest)
        scores[rows] = activate(model.get_ref("output_layer"), logits)
    read = iter(rest.readings or [{}] * len(rest))
    docs.readings = [
        {**next(read), "answered_by": NETWORK} if asks else _unread() for asks in unsure
    ]
    return scores, rest


def _unread() -> Reading:
    return {"pieces": 0, "pieces_read": 0, "windows": 0, "answered_by": NGRAMS}


def _linear(model: Model[list[Doc], Floats2d], docs: list[Doc]) -> Floats2d:
    linear = float(model.attrs["linear_rate"]) * model.layers[2].predict(docs)
    return cast(Floats2d, linear + ngram_bias(model))


def _network(model: Model[list[Doc], Floats2d], docs: list[Doc]) -> Floats2d:
    vectors, head, _ = model.layers
    return cast(Floats2d, head.predict(vectors.predict(docs)) - ngram_bias(model))


def ngram_bias(model: Model[list[Doc], Floats2d]) -> Floats1d:
    """What of the bias the n-grams answer with: a half, if both halves learn apart; (labels,)."""
    parts = float(model.attrs.get("parts", 1))
    bias = cast(Floats1d, model.get_ref("output_layer").get_param("b"))
    return bias * ((parts - 1) / parts)
