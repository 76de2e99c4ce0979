"""How faithful explanations are, beside words in a random order."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.flow import weigh_characters
from spacy_bert_zh.explain.result import Explanation, Rating
from spacy_bert_zh.loading import Span, only, without
from spacy_bert_zh.repair import as_read

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Of the words, at least one: the bins of ERASER's AOPC (DeYoung et al. 2020, section 4.2)."""
RANDOM_ORDERS = 5
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_NARROW = {wide: code for code, wide in _WIDE.items()}


def rate(
    nlp: Language, explanations: Sequence[Explanation], component: str | None = None
) -> Rating | None:
    """Rate explanations: do they name what the answer hangs on, and say the same of the same text?

    By what the pipeline says without their words, and of these alone; and by how an explanation
    changes with what changes nothing for a reader, see `harmless`. What is rated is the first
    label of each. Random orders are the same each time.

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
    if not rated:
        return None
    found = np.asarray([_rate(classifier, one, chance) for one in rated])  # (texts, 2 orders, 2)
    (own, rest), (random, random_rest) = found.mean(axis=0).tolist()
    pairs = [pair for one in rated for pair in _agreements(classifier, one, chance)]
    consistency, by_chance = np.mean(pairs, axis=0).tolist() if pairs else (1.0, 1.0)
    return Rating(
        texts=len(rated),
        comprehensiveness=own,
        sufficiency=rest,
        random_comprehensiveness=random,
        random_sufficiency=random_rest,
        consistency=consistency,
        random_consistency=by_chance,
        error=max(share.error for one in rated for share in one.shares[:1]),
    )


def harmless(text: str) -> list[str]:
    """The text as others might have typed it: with or without a full stop, in another width.

    Examples:
        >>> harmless("A股大涨")
        ['A股大涨。', 'Ａ股大涨']
    """
    ended = text[:-1] if text.endswith("。") else text + "。"
    widths = (text.translate(table) for table in (_WIDE, _NARROW))
    return [ended, *(other for other in widths if other != text)]


def _agreements(
    classifier: Classifier, explanation: Explanation, chance: np.random.Generator
) -> list[tuple[float, float]]:
    """Rank correlations of characters' shares with those after harmless changes, and by chance.

    A change after or before which all characters weigh the same has none.
    """
    share = explanation.shares[0]
    samples = explanation.steps if explanation.method == "shapley" else 0
    found = []
    for text in harmless(explanation.text):
        again = weigh_characters(classifier, as_read(classifier.nlp, text), share, samples)
        length = min(len(again), len(share.characters))
        pair = [_ranks(np.asarray(one[:length])) for one in (share.characters, again)]
        if all(ranks.std() > 0 for ranks in pair):
            drawn = (chance.permutation(pair[1]) for _ in range(RANDOM_ORDERS))
            random = np.mean([np.corrcoef(pair[0], ranks)[0, 1] for ranks in drawn])
            found.append((float(np.corrcoef(pair[0], pair[1])[0, 1]), float(random)))
    return found


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1; equal values have the mean of their ranks, as Spearman's correlation wants it."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return ranks


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
