"""How much neighbours should have to say."""

from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import check_corpus, read_as_classified
from spacy_bert_zh.evaluate.vectors import BATCH
from spacy_bert_zh.loading import is_exclusive
from spacy_bert_zh.pieces import Documents
from spacy_bert_zh.textcat import BertTextCat, Neighbours
from spacy_bert_zh.textcat.space import Found

SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2)
FEWEST = 20
"""Texts from which a weight is found."""
SURE = 2.0
"""By so many standard errors neighbours must make the texts likelier to have a say."""


def weigh(nlp: Language, pipe: BertTextCat, dev: Path) -> dict[str, Any]:
    """Find the weight of neighbours that makes texts the most likely, and set it.

    Args:
        nlp: The pipeline.
        pipe: Its text classifier, with an index.
        dev: Texts that neither has seen.

    Returns:
        The negative log likelihood and the accuracy (all labels of a text right) on these texts,
        before and after. They chose the weight, so what it brings is to be measured on others.

    Raises:
        BertZhError: The texts are too few, or don't fit.
    """
    count = check_corpus(nlp, pipe, dev)
    if count < FEWEST:
        raise BertZhError(f"{dev} has {count} texts, and a weight takes {FEWEST}: give more")
    known, exclusive = pipe.neighbours, is_exclusive(pipe)
    assert known is not None
    scores, vectors, gold = _ask(nlp, pipe, dev)
    found = known.find(vectors)
    claims = known.claims(vectors, pipe.labels)
    best = pipe.neighbours = choose(pipe, scores, found, claims, gold)
    mixed = best.mix(scores, best.votes(found, pipe.labels), claims, pipe.labels, exclusive)
    return {
        "loss": [round(float(_losses(one, gold, exclusive).mean()), 6) for one in (scores, mixed)],
        "accuracy": [_accuracy(one, gold, exclusive) for one in (scores, mixed)],
    }


def choose(
    pipe: BertTextCat, scores: Any, found: Found, claims: Any, gold: NDArray[np.bool_]
) -> Neighbours:
    """The index with the share and temperature of least negative log likelihood.

    Neighbours have no say (a share of 1) unless the classifier alone is surely worse: by `SURE`
    standard errors over the texts, and no more often right.

    Args:
        pipe: The classifier, with its index.
        scores: What it says alone; shape (texts, labels).
        found: The neighbours.
        claims: See `Neighbours.claims`.
        gold: What is right; shape (texts, labels).
    """
    assert pipe.neighbours is not None
    exclusive = is_exclusive(pipe)
    tried = [
        replace(pipe.neighbours, mixing=pipe.neighbours.mixing.model_copy(update=update))
        for update in (
            {"share": share, "temperature": temperature}
            for share, temperature in product(SHARES, TEMPERATURES)
        )
    ]
    plain, *_ = mixed = [
        one.mix(scores, one.votes(found, pipe.labels), claims, pipe.labels, exclusive)
        for one in tried
    ]
    alone, least = _losses(plain, gold, exclusive), _accuracy(plain, gold, exclusive)
    best, gained = tried[0], 0.0
    for one, answers in zip(tried, mixed, strict=True):
        gains = alone - _losses(answers, gold, exclusive)
        sure = gains.mean() > SURE * gains.std() / len(gains) ** 0.5
        if sure and gains.mean() > gained and _accuracy(answers, gold, exclusive) >= least:
            best, gained = one, float(gains.mean())
    return best


def _ask(nlp: Language, pipe: BertTextCat, dev: Path) -> tuple[Any, Any, NDArray[np.bool_]]:
    """What the classifier alone says, the vectors it says it by, and what is right."""
    docs, parts = read_as_classified(nlp, dev), []
    while batch := list(islice(docs, BATCH)):
        read = Documents(batch)
        scores = pipe.model.ops.to_numpy(pipe.model.predict(read))
        right = [[doc.cats.get(label, 0.0) > 0.5 for label in pipe.labels] for doc in batch]
        parts.append((scores, pipe.model.ops.to_numpy(read.vectors), np.asarray(right)))
    scores, vectors, gold = (np.concatenate(column) for column in zip(*parts, strict=True))
    return scores, vectors, gold


def _losses(scores: Any, gold: NDArray[np.bool_], exclusive: bool) -> NDArray[np.float64]:
    """The negative log likelihood of each text; shape (texts,)."""
    sure = np.log(np.clip(scores, 1e-7, 1.0))
    losses = -(sure * gold).sum(axis=1)
    if not exclusive:
        losses -= (np.log(np.clip(1.0 - scores, 1e-7, 1.0)) * ~gold).sum(axis=1)
    return np.asarray(losses, dtype=np.float64)


def _accuracy(scores: Any, gold: NDArray[np.bool_], exclusive: bool) -> float:
    if exclusive:
        return round(float(gold[np.arange(len(gold)), scores.argmax(axis=1)].mean()), 6)
    return round(float(((scores >= 0.5) == gold).all(axis=1).mean()), 6)
