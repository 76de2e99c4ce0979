"""``spacy_bert_zh.SharedBackbone.v1``: vectors from a `transformer` earlier in the pipeline.

One encoder of spacy-transformers then serves textcat, ner and tagger at once.
"""

from collections.abc import Callable
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model, reduce_mean
from thinc.types import Floats2d

from spacy_bert_zh.backbones.settings import Backbone
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.pieces import Documents


def build_shared_backbone_v1(grad_factor: float = 1.0, upstream: str = "*") -> Backbone:
    """Build a backbone that listens to spaCy's ``transformer`` component.

    A document's vector is the mean over its tokens of the mean over their word pieces.

    Args:
        grad_factor: Scales the gradient sent to the transformer; 0 freezes it.
        upstream: Name of the transformer component; ``*`` takes any.

    Returns:
        Documents to floats of shape (documents, hidden size); a document without tokens
        gets zeros.

    Raises:
        BertZhError: The extra is not installed; from `initialize`, no transformer is there.
    """
    try:
        from spacy_transformers.architectures import transformer_listener_tok2vec_v1
    except ImportError:
        raise missing_extra(
            "spacy_transformers", "shared", "spacy_bert_zh.SharedBackbone.v1"
        ) from None
    tokens = transformer_listener_tok2vec_v1(reduce_mean(), grad_factor, upstream)
    return Model(
        "shared_backbone",
        _forward,
        init=_init,
        dims={"nO": None},
        layers=[tokens],
        refs={"listener": tokens.get_ref("listener")},
    )


def _init(model: Backbone, X: Any = None, Y: Any = None) -> None:
    listener = model.get_ref("listener")
    # The transformer component sets it when it is initialised, which is before its listeners.
    if not listener.has_dim("nO"):
        raise BertZhError(
            "spacy_bert_zh.SharedBackbone.v1 finds no component 'transformer' before it in the "
            "pipeline to listen to (setting 'upstream')"
        )
    model.layers[0].initialize(X)
    model.set_dim("nO", listener.get_dim("nO"))


def _forward(
    model: Backbone, docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    Y = model.ops.alloc2f(len(docs), model.get_dim("nO"))
    # spacy-transformers can't pool a batch without any token.
    if not any(len(doc) for doc in docs):
        return Y, lambda dY: []
    tokens, get_docs = model.layers[0](docs, is_train)
    for i, vectors in enumerate(tokens):
        if len(vectors):
            Y[i] = vectors.mean(axis=0)
    if isinstance(docs, Documents):
        docs.vectors = Y

    def backprop(dY: Floats2d) -> list[Doc]:
        xp = model.ops.xp
        rows = [dY[i : i + 1] / max(len(x), 1) for i, x in enumerate(tokens)]
        return get_docs(
            [xp.repeat(row, len(x), axis=0) for row, x in zip(rows, tokens, strict=True)]
        )

    return Y, backprop
