"""What would have to be missing for another answer."""

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.result import Contrast, Explanation
from spacy_bert_zh.loading import Span, without

MOST = 12
"""Words that are taken away."""
TRIED = 20
"""Words of which the next one is taken, those of most effect in either direction."""


def contrast(
    nlp: Language, explanation: Explanation, component: str | None = None
) -> Contrast | None:
    """Find a small set of words whose removal changes the labels that are given.

    Greedy: each time the word goes whose removal brings another answer nearest, as the pipeline
    says of the text without it; then words that needn't have gone come back. So no word of the
    set can stay, but a smaller set of others may exist. Only the `TRIED` words of most effect are
    tried, so that a long text doesn't take long.

    Args:
        nlp: The pipeline that the explanation is of.
        explanation: Of the text.
        component: Name of the text classifier, if there are several.

    Returns:
        The words; None if the answer stays the same without `MOST` of them.
    """
    classifier = Classifier(nlp, component)
    before = classifier.given(classifier.scores([explanation.text]))[0]
    words = _heaviest(explanation)
    removed: list[Span] = []
    while len(removed) < min(MOST, len(words)):
        options = [[*removed, word] for word in words if word not in removed]
        changed, nearness = _try(classifier, explanation.text, options, before)
        best = int(np.lexsort((nearness, ~changed))[0])
        removed = options[best]
        if changed[best]:
            return _describe(classifier, explanation, _return(classifier, explanation, removed))
    return None


def _heaviest(explanation: Explanation) -> list[Span]:
    effects = np.abs([share.effects for share in explanation.shares]).max(axis=0)
    heaviest = np.argsort(-effects, kind="stable")[:TRIED]
    return [explanation.words[row] for row in heaviest]


def _try(
    classifier: Classifier, text: str, options: list[list[Span]], before: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether the answer changes without these words, and how far it is from that."""
    scores = classifier.scores([without(text, spans) for spans in options])
    changed = (classifier.given(scores) != before).any(axis=1)
    margins = classifier.margins(scores)
    return changed, np.where(before, margins, -margins).min(axis=1)


def _return(classifier: Classifier, explanation: Explanation, removed: list[Span]) -> list[Span]:
    """Put back words that needn't go; the last one alone did not do it."""
    before = classifier.given(classifier.scores([explanation.text]))[0]
    for word in list(removed):
        fewer = [other for other in removed if other != word]
        if fewer and _try(classifier, explanation.text, [fewer], before)[0][0]:
            removed = fewer
    return removed


def _describe(classifier: Classifier, explanation: Explanation, removed: list[Span]) -> Contrast:
    text = without(explanation.text, removed)
    given = np.flatnonzero(classifier.given(classifier.scores([text]))[0])
    return Contrast(tuple(sorted(removed)), text, tuple(classifier.labels[row] for row in given))
