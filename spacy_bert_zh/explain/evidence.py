"""The training texts behind an answer: those nearest, or those of most influence on it."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.result import Evidence
from spacy_bert_zh.explain.subsets import Floats
from spacy_bert_zh.textcat import Neighbours

By = Literal["similarity", "influence"]
"""In what order the texts of an index stand."""
Find = Callable[[str, NDArray[np.bool_]], tuple[Evidence, ...]]
"""Evidence for a text and which labels it is given, (labels,)."""
NEAREST = 5
"""Texts that are given as evidence."""


def make_find(classifier: Classifier, by: By) -> Find:
    """What finds evidence in a pipeline's index.

    Raises:
        BertZhError: Influence is asked for, and there is no index, no text in it whose labels the
            classifier has learnt, or a tree of labels, whose loss isn't one of single labels.
    """
    known: Neighbours | None = getattr(classifier.pipe, "neighbours", None)
    if by == "influence":
        return Influence(classifier, known)
    if known is None:
        return lambda text, given: ()

    def find(text: str, given: NDArray[np.bool_]) -> tuple[Evidence, ...]:
        places, cosines = known.find(classifier.vectors([text]), NEAREST)
        pairs = zip(places[0].tolist(), cosines[0].tolist(), strict=True)
        return tuple(_evidence(known, place, cosine) for place, cosine in pairs)

    return find


class Influence:
    """Finds the training texts of most influence on an answer.

    TracIn (Pruthi et al. 2020, arXiv 2002.08484, eq. 1 and section 4.2) on the head's gradient and
    at the end of the training: by how much a step on the training text alone would have lowered
    the loss of the answer. That is the product of both texts' gradients; of a linear head the
    product of how far the scores are from the labels, and of the vectors.

    Args:
        classifier: Of the pipeline.
        known: Its index.

    Raises:
        BertZhError: See `make_find`.
    """

    def __init__(self, classifier: Classifier, known: Neighbours | None) -> None:
        name = classifier.pipe.name
        if known is None:
            raise BertZhError(
                f"'{name}' has no index, so nothing is known of its training texts: make one by "
                "'index' with --add corpus/train"
            )
        if getattr(classifier.pipe, "tree", None) is not None:
            raise BertZhError(
                f"'{name}' has a tree of labels, for which no influence is known: order its "
                "evidence by similarity"
            )
        learnt = set(known.mixing.learnt)
        self._rows = np.asarray(
            [row for row, one in enumerate(known.entries) if learnt.issuperset(one.labels)],
            dtype=np.int64,
        )
        if not len(self._rows):
            raise BertZhError(f"The index of '{name}' has no text whose labels were learnt")
        self._classifier, self._known = classifier, known
        # The index holds them centred and whitened.
        compared = known.vectors[self._rows].astype(np.float64)
        back = np.linalg.pinv(known.whiten.astype(np.float64))
        self._vectors: Floats = compared @ back + known.mean
        entries = [known.entries[row] for row in self._rows]
        gold = np.asarray([[label in one.labels for label in classifier.labels] for one in entries])
        self._missed = self._miss([one.text for one in entries], self._vectors, gold)

    def _miss(self, texts: Sequence[str], vectors: Floats, gold: NDArray[np.bool_]) -> Floats:
        """How far scores are from labels, which is a logit's gradient; shape (texts, labels)."""
        head = vectors @ self._classifier.weights.T + self._classifier.bias
        logits = head + self._classifier.ngram_logits(texts, False)
        found: Floats = self._classifier.from_logits(logits) - gold
        return found

    def __call__(self, text: str, given: NDArray[np.bool_]) -> tuple[Evidence, ...]:
        """The texts of most influence, the highest first.

        Args:
            text: The text.
            given: Which it is given; shape (labels,).
        """
        vector = self._classifier.vectors([text])
        wide = vector.astype(np.float64)
        (missed,) = self._miss([text], wide, given[None])
        # The bias has a gradient, too.
        found = (self._missed @ missed) * (self._vectors @ wide[0] + 1)
        best = np.argsort(-found, kind="stable")[:NEAREST]
        places, cosines = self._known.find(vector, len(self._known))
        cosine = dict(zip(places[0].tolist(), cosines[0].tolist(), strict=True))
        return tuple(
            _evidence(self._known, place, cosine[place], float(found[row]))
            for row, place in zip(best, self._rows[best].tolist(), strict=True)
        )


def _evidence(
    known: Neighbours, place: int, similarity: float, influence: float | None = None
) -> Evidence:
    one = known.entries[place]
    return Evidence(one.text, tuple(one.labels), one.source, similarity, influence)
