"""``spacy_bert_zh.SharedBackbone.v1``: vectors from a `transformer` earlier in the pipeline.

One encoder of spacy-transformers then serves textcat, ner and tagger at once.
"""

from collections.abc import Callable

from spacy.tokens import Doc
from thinc.api import Model, chain, reduce_mean
from thinc.types import Floats2d

from spacy_bert_zh.errors import missing_extra


def build_shared_backbone_v1(
    grad_factor: float = 1.0, upstream: str = "*"
) -> Model[list[Doc], Floats2d]:
    """Build a backbone that listens to spaCy's ``transformer`` component.

    A document's vector is the mean over its tokens of the mean over their word pieces.

    Args:
        grad_factor: Scales the gradient sent to the transformer; 0 freezes it.
        upstream: Name of the transformer component; ``*`` takes any.

    Returns:
        Documents to floats of shape (documents, hidden size); a document without tokens
        gets zeros.

    Raises:
        BertZhError: The extra is not installed.
    """
    try:
        from spacy_transformers.architectures import transformer_listener_tok2vec_v1
    except ImportError:
        raise missing_extra(
            "spacy_transformers", "shared", "spacy_bert_zh.SharedBackbone.v1"
        ) from None
    tokens = transformer_listener_tok2vec_v1(reduce_mean(), grad_factor, upstream)
    model = chain(tokens, _mean_of_tokens())
    model.set_ref("listener", tokens.get_ref("listener"))
    return model


def _mean_of_tokens() -> Model[list[Floats2d], Floats2d]:
    """Mean over the rows of each array; thinc's own needs one width also for no rows."""
    return Model("mean_of_tokens", _forward)


def _forward(
    model: Model[list[Floats2d], Floats2d], X: list[Floats2d], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Floats2d]]]:
    width = max((x.shape[1] for x in X), default=0)
    Y = model.ops.alloc2f(len(X), width)
    for i, x in enumerate(X):
        if x.shape[0]:
            Y[i] = x.mean(axis=0)

    def backprop(dY: Floats2d) -> list[Floats2d]:
        xp = model.ops.xp
        return [xp.repeat(dY[i : i + 1] / max(len(x), 1), len(x), axis=0) for i, x in enumerate(X)]

    return Y, backprop
