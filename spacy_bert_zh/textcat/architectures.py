"""The registered architectures: any backbone with a linear head, alone or beside n-grams.

``spacy_bert_zh.BertTextCat`` and ``spacy_bert_zh.BertTextCatEnsemble``: from v2 on the head reads
vectors of any scale and starts from what they tell at once; from v3 on both halves of the ensemble
learn apart; in v4 n-grams are solved.
"""

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.halves import build_alone, build_ensemble
from spacy_bert_zh.textcat.head import build_head


def build_bert_text_cat_v1(
    backbone: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build backbone → dropout → linear head that starts from nothing, at the backbone's rate.

    Args:
        backbone: See `build_bert_text_cat_v2`.
        dropout: See `build_bert_text_cat_v2`.
        exclusive_classes: See `build_bert_text_cat_v2`.
        nO: See `build_bert_text_cat_v2`.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    return build_alone(backbone, dropout, build_head(exclusive_classes, nO))


def build_bert_text_cat_v2(
    backbone: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    head_rate: float = 10.0,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build backbone → dropout → linear head, for our factories and spaCy's own.

    The head sees vectors about their mean and in units of their spread, so that it learns from
    any encoder; in our components it starts as a logistic regression on the vectors as they are
    (see `head.start`).

    Args:
        backbone: Documents to vectors, shape (documents, width).
        dropout: Share of the vector dropped in training; `training.dropout` replaces it.
        head_rate: How many times faster than the backbone the head learns.
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        nO: Number of labels; None takes it from the data.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    return build_alone(backbone, dropout, build_head(exclusive_classes, nO, head_rate))


def build_bert_text_cat_ensemble_v1(
    backbone: Model[list[Doc], Floats2d],
    linear_model: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    linear_rate: float = 50.0,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build a BERT and a linear model; the head starts from nothing, at the BERT's rate.

    Args:
        backbone: See `build_bert_text_cat_ensemble_v2`.
        linear_model: See `build_bert_text_cat_ensemble_v2`.
        dropout: See `build_bert_text_cat_ensemble_v2`.
        linear_rate: See `build_bert_text_cat_ensemble_v2`.
        exclusive_classes: See `build_bert_text_cat_ensemble_v2`.
        nO: See `build_bert_text_cat_ensemble_v2`.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    head = build_head(exclusive_classes, nO, activate=False)
    return build_ensemble(backbone, linear_model, dropout, linear_rate, head, parts=1)


def build_bert_text_cat_ensemble_v2(
    backbone: Model[list[Doc], Floats2d],
    linear_model: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    head_rate: float = 10.0,
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
        head_rate: How many times faster than the backbone the head learns, which sees vectors as
            in `build_bert_text_cat_v2`.
        linear_rate: The linear model's logits are multiplied by this, which under Adam makes it
            learn as many times faster than the backbone: weights that start from nothing want a
            higher rate.
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        nO: Number of labels; None takes it from the data.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    head = build_head(exclusive_classes, nO, head_rate, activate=False)
    return build_ensemble(backbone, linear_model, dropout, linear_rate, head, parts=1)


def build_bert_text_cat_ensemble_v3(
    backbone: Model[list[Doc], Floats2d],
    linear_model: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    head_rate: float = 10.0,
    linear_rate: float = 50.0,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build a BERT and a linear model that each learn to answer alone, and answer together.

    Where both learn one loss, as in v2, n-grams soon know the training texts by heart, which leaves
    the BERT nothing to learn. Here each has a loss of its own in our components, and the answer is
    the geometric mean of what both say (a product of experts, Hinton 2002, with half the weight for
    each: a logarithmic opinion pool, Genest & Zidek 1986, eq. 3.1). In spaCy's own factories
    both learn one loss.

    Args:
        backbone: See `build_bert_text_cat_ensemble_v2`.
        linear_model: See `build_bert_text_cat_ensemble_v2`.
        dropout: See `build_bert_text_cat_ensemble_v2`.
        head_rate: See `build_bert_text_cat_ensemble_v2`.
        linear_rate: See `build_bert_text_cat_ensemble_v2`.
        exclusive_classes: See `build_bert_text_cat_ensemble_v2`.
        nO: See `build_bert_text_cat_ensemble_v2`.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).
    """
    parts = 2
    head = build_head(exclusive_classes, nO, head_rate / parts, activate=False)
    return build_ensemble(backbone, linear_model, dropout, linear_rate / parts, head, parts)


def build_bert_text_cat_ensemble_v4(
    backbone: Model[list[Doc], Floats2d],
    linear_model: Model[list[Doc], Floats2d],
    dropout: float = 0.1,
    head_rate: float = 10.0,
    network_share: float = 0.4,
    exclusive_classes: bool = True,
    nO: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Build a BERT that learns to answer alone, beside a linear model that is solved.

    The answer is their logarithmic opinion pool (Genest & Zidek 1986, eq. 3.1). Fine-tuned BERTs
    are surer than they are right, so that the network's share is less than a half.

    Args:
        backbone: See `build_bert_text_cat_ensemble_v2`.
        linear_model: ``spacy_bert_zh.NgramLinear.v2``, which needs a component of ours.
        dropout: See `build_bert_text_cat_ensemble_v2`.
        head_rate: See `build_bert_text_cat_ensemble_v2`.
        network_share: What part of its logits the network has in the answer, above 0 and below 1.
        exclusive_classes: See `build_bert_text_cat_ensemble_v2`.
        nO: See `build_bert_text_cat_ensemble_v2`.

    Returns:
        Documents to scores between 0 and 1, shape (documents, labels).

    Raises:
        BertZhError: The share is none.
    """
    if not 0.0 < network_share < 1.0:
        raise BertZhError(f"network_share = {network_share} must be between 0 and 1")
    parts = 1.0 / network_share
    head = build_head(exclusive_classes, nO, head_rate / parts, activate=False)
    return build_ensemble(backbone, linear_model, dropout, 1.0, head, parts)
