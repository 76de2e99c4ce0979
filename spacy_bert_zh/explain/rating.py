"""How faithful explanations are, beside words in a random order."""

import math
from collections.abc import Sequence

import numpy as np
from spacy.language import Language

from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.result import Explanation, Rating
from spacy_bert_zh.loading import Span, only, without

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Of the words, at least one: the bins of ERASER's AOPC (DeYoung et al. 2020, section 4.2)."""
RANDOM_ORDERS = 5


def rate(
    nlp: Language, explanations: Sequence[Explanation], component: str | None = None
) -> Rating | None:
    """Rate explanations by what the pipeline says without their words, and of these alone.

    What is rated is the first label of each, and the order of its words. Random orders are the
    same each time.

    Args:
        nlp: The pipeline that the explanations are of.
        explanations: Some.
        component: Name of the text classifier, if there are several.

    Returns:
        Means over texts of two words or more; None if there is none.
    """
    classifier = Classifier(nlp, component)
    chance = np.random.default_rng(0)
    rated = [one for one in explanations if len(one.words) > 1]
    found = np.asarray([_rate(classifier, one, chance) for one in rated])  # (texts, 2 orders, 2)
    if not rated:
        return None
    (own, rest), (random, random_rest) = found.mean(axis=0).tolist()
    error = max(share.error for one in rated for share in one.shares[:1])
    return Rating(len(rated), own, rest, random, random_rest, error)


def _rate(
    classifier: Classifier, explanation: Explanation, chance: np.random.Generator
) -> list[list[float]]:
    """Comprehensiveness and sufficiency of the explanation's order, and of random ones."""
    share, words = explanation.shares[0], explanation.words
    orders = [np.asarray(share.order)]
    orders += [chance.permutation(len(words)) for _ in range(RANDOM_ORDERS)]
    texts = [
        text
        for order in orders
        for fraction in SHARES
        for text in _pair(explanation, order[: math.ceil(fraction * len(words))].tolist())
    ]
    unique = list(dict.fromkeys(texts))
    column = classifier.row(share.label)
    score = dict(zip(unique, classifier.scores(unique)[:, column].tolist(), strict=True))
    falls = np.asarray([share.score - score[text] for text in texts])
    means = falls.reshape(len(orders), len(SHARES), 2).mean(axis=1)  # (orders, 2)
    return [means[0].tolist(), means[1:].mean(axis=0).tolist()]


def _pair(explanation: Explanation, chosen: Sequence[int]) -> tuple[str, str]:
    """The text without some of its words, and with these alone."""
    spans: list[Span] = [explanation.words[row] for row in chosen]
    text = explanation.text
    return without(text, spans), only(text, explanation.words, spans)
