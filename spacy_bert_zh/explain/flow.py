"""Why a pipeline answers as it does, from top to bottom."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

import numpy as np
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.evidence import By, Find, make_find
from spacy_bert_zh.explain.network import NetworkShare, read_end, share_network
from spacy_bert_zh.explain.ngrams import name_top, spread, weigh_ngrams
from spacy_bert_zh.explain.result import Explanation, Share
from spacy_bert_zh.explain.subsets import Floats, Subsets, find_effects
from spacy_bert_zh.loading import find_words
from spacy_bert_zh.repair import as_read

BUDGET = 5_000
"""Characters of a text that are explained."""
MOST_LABELS = 10
"""Labels that are explained unasked."""


def can_explain(nlp: Language) -> bool:
    """Whether `explain` has what it needs: one text classifier, of ours, and jieba."""
    try:
        Classifier(nlp)
    except BertZhError:
        return False
    return find_spec("jieba") is not None


def explain(
    nlp: Language,
    texts: Iterable[str],
    labels: Sequence[str] | None = None,
    *,
    against: str | None = None,
    samples: int = 0,
    search: bool = False,
    component: str | None = None,
    evidence_by: By = "similarity",
) -> list[Explanation]:
    """Split the logits of labels into what the parts of a classifier and of a text add to them.

    The bias and the n-grams' share are exact. The BERT's share is spread over the text by
    integrated gradients (Sundararajan et al. 2017) in torch; in ONNX and Keras by what changes
    without each word, or with `samples` by the words' Shapley values. A text of more than
    `BUDGET` characters is cut, and the answer to what is left is explained.

    Args:
        nlp: A trained pipeline with a classifier of ours.
        texts: The texts.
        labels: Which to explain; None takes those that are given, the best `MOST_LABELS` at most,
            or the best one.
        against: Explain why not this label: the differences to it.
        samples: Permutations of the words, for Shapley values in any engine; about 25 do.
        search: Search for the order of the words, see `Share.order`, in about twice the time.
        component: Name of the text classifier, if there are several.
        evidence_by: Whether the nearest texts of the pipeline's index are the evidence, or those
            of most influence on the answer.

    Returns:
        An explanation for each text.

    Raises:
        BertZhError: No classifier of ours, a label that it doesn't have, or influence that can't
            be known: see `make_find`.

    Examples:
        >>> from spacy_bert_zh.loading import load_pipeline
        >>> nlp = load_pipeline("training/model-best")
        >>> (found,) = explain(nlp, ["这家店很好吃"])
        >>> len(found.shares[0].characters)
        6
    """
    classifier = Classifier(nlp, component)
    for label in [*(labels or []), *([against] if against is not None else [])]:
        classifier.row(label)
    find = make_find(classifier, evidence_by)
    return [_explain(classifier, find, text, labels, against, samples, search) for text in texts]


def _explain(
    classifier: Classifier,
    find: Find,
    given: str,
    labels: Sequence[str] | None,
    against: str | None,
    samples: int,
    search: bool,
) -> Explanation:
    whole = as_read(classifier.nlp, given)
    text = whole[:BUDGET]
    scores = classifier.scores([text])
    gives = classifier.given(scores)[0]
    held = np.flatnonzero(gives)
    best = held[np.argsort(-scores[0, held], kind="stable")[:MOST_LABELS]]
    rows = [classifier.row(label) for label in labels] if labels else best.tolist()
    rows = rows or [int(scores[0].argmax())]
    told_by = classifier.told_by(text, rows)
    words = find_words(text)
    subsets = Subsets(classifier, text, words)
    alone = classifier.answered_by_ngrams(text)
    network = _none(classifier, len(rows), len(text))
    if not alone:
        directions = classifier.weights[told_by]
        if against is not None:
            directions = directions - classifier.weights[classifier.row(against)]
        network = share_network(classifier, text, directions, samples)
    other = None if against is None else classifier.row(against)
    effects, orders = find_effects(subsets, told_by, other, samples, alone, search)
    shares = _shares(
        classifier, text, (rows, told_by), against, scores[0], network, (effects, orders)
    )
    known = getattr(classifier.pipe, "neighbours", None)
    return Explanation(
        text=text,
        left_out=len(whole) - len(text),
        read=0 if alone else read_end(classifier, text),
        given=tuple(classifier.labels[row] for row in held),
        method=network.method,
        steps=network.steps,
        words=words,
        shares=shares,
        evidence=find(text, gives),
        unlearnt=tuple(
            share.label for share in shares if known and share.label in known.new_labels
        ),
        raised=tuple(
            (classifier.labels[row], classifier.labels[below])
            for row, below in zip(rows, told_by, strict=True)
            if row != below
        ),
        voters=0.0 if known is None else 1.0 - known.mixing.share,
    )


def weigh_characters(classifier: Classifier, text: str, share: Share, samples: int) -> Floats:
    """What a text's characters add to the logit that a share is of, shape (characters,).

    As `Share.characters` has it, without all else that an explanation is made of.
    """
    (row,) = classifier.told_by(text, [classifier.row(share.label)])
    rows = [row] if share.against is None else [row, classifier.row(share.against)]
    signs = np.array([1.0, -1.0])[: len(rows)]
    places = weigh_ngrams(classifier, text)
    characters = spread(places, places.weights[:, rows] @ signs, len(text))
    if not classifier.answered_by_ngrams(text):
        directions = (signs @ classifier.weights[rows]).astype(np.float32)
        network = share_network(classifier, text, directions[None], samples)
        characters = characters + network.characters[0]
    found: Floats = characters
    return found


def _none(classifier: Classifier, directions: int, length: int) -> NetworkShare:
    """Of a BERT that wasn't asked."""
    nothing = np.zeros(directions)
    return NetworkShare(nothing, nothing, np.zeros((directions, length)), "none", 0, nothing)


def _shares(
    classifier: Classifier,
    text: str,
    explained: tuple[Sequence[int], Sequence[int]],
    against: str | None,
    scores: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    network: NetworkShare,
    words: tuple[Floats, list[list[int]]],
) -> tuple[Share, ...]:
    places = weigh_ngrams(classifier, text)
    weights, biases = places.weights, classifier.bias.astype(np.float64)
    if network.method == "none":
        weights = weights / classifier.temperature
        biases = classifier.ngram_bias.astype(np.float64) / classifier.temperature
    if against is not None:
        other = classifier.row(against)
        weights, biases = weights - weights[:, [other]], biases - biases[other]
    shares = []
    for i, (named, row) in enumerate(zip(*explained, strict=True)):
        characters = spread(places, weights[:, row], len(text))
        ngrams, change = float(weights[:, row].sum()), float(network.change[i])
        bias = float(biases[row] + network.start[i])
        shares.append(
            Share(
                label=classifier.labels[named],
                against=against,
                score=float(scores[named]),
                logit=bias + ngrams + change,
                bias=bias,
                ngrams=ngrams,
                network=change,
                ngram_characters=tuple(characters.tolist()),
                network_characters=tuple(network.characters[i].tolist()),
                top_ngrams=name_top(places, weights[:, row], text),
                effects=tuple(words[0][i].tolist()),
                order=tuple(words[1][i]),
                error=float(network.error[i]),
                together=float(network.together[i]),
            )
        )
    return tuple(shares)
