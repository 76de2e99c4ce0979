"""What a pipeline says of a pool's texts, and which of them it would learn most from."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import TextCategorizer
from spacy.util import minibatch
from thinc.api import to_numpy

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import given_labels, is_exclusive
from spacy_bert_zh.reading.duplicates import group, near_pairs
from spacy_bert_zh.repair import repair
from spacy_bert_zh.select.options import Options
from spacy_bert_zh.select.pool import Candidate
from spacy_bert_zh.select.strategies import badge, differences, unsureness


class Judge:
    """What a pipeline says of texts, and what that is worth."""

    def __init__(self, nlp: Language, pipe: TextCategorizer, options: Options) -> None:
        self._nlp, self._pipe, self._options = nlp, pipe, options
        self.labels, self.exclusive = list(pipe.labels), is_exclusive(pipe)
        if self.exclusive and len(self.labels) < 2:
            raise BertZhError(
                f"'{pipe.name}' has one label alone: there is nothing to be unsure of"
            )
        self._rng = np.random.default_rng(options.seed)

    def __call__(self, texts: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with self._nlp.memory_zone():
            rows = [[doc.cats[label] for label in self.labels] for doc in self._nlp.pipe(texts)]
        scores = np.asarray(rows, dtype=np.float64)
        if self._options.strategy == "random":
            return scores, self._rng.random(len(texts))
        return scores, unsureness(scores, self.exclusive, self._options.strategy)

    def given(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which labels are given; shape (texts, labels)."""
        rows = (dict(zip(self.labels, row, strict=True)) for row in scores.tolist())
        sets = (given_labels(self._nlp, cats) for cats in rows)
        return np.asarray([[label in found for label in self.labels] for found in sets])

    def choose(self, found: list[Candidate]) -> list[int]:
        """Places of those to select, the most telling first."""
        count = min(self._options.count, len(found))
        if self._options.strategy != "badge":
            return list(range(count))
        scores = np.stack([candidate.scores for candidate in found])
        gradients = differences(scores, self.given(scores))
        vectors = self._vectors([candidate.text for candidate in found])
        return badge(gradients, vectors, count, self._rng)

    def _vectors(self, texts: list[str]) -> NDArray[np.float64]:
        """The backbone's vectors, or a 1 for each text where there is none; (texts, width)."""
        if not self._pipe.model.has_ref("backbone"):
            return np.ones((len(texts), 1))
        backbone, parts = self._pipe.model.get_ref("backbone"), []
        for batch in minibatch(texts, 256):
            docs = [repair(self._nlp, self._nlp.make_doc(text)) for text in batch]
            parts.append(to_numpy(backbone.predict(docs)))
        return np.concatenate(parts).astype(np.float64)


def apart(found: list[Candidate], counts: Counter[str]) -> list[Candidate]:
    """One of each group of near-duplicates: the least sure, which comes first."""
    if not found:
        return found
    first, second, _ = near_pairs([candidate.text for candidate in found])
    groups = group(len(found), first, second)
    _, first = np.unique(groups, return_index=True)
    counts["nearly repeated"] += len(found) - len(first)
    return [found[place] for place in sorted(first.tolist())]


def describe(chosen: list[Candidate], judge: Judge) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The rows of ``selected.jsonl``, and how many of them the pipeline gives each label."""
    scores = np.stack([candidate.scores for candidate in chosen])
    doubts = unsureness(scores, judge.exclusive, "margin")
    guesses: Counter[str] = Counter()
    rows = []
    for candidate, given, doubt in zip(chosen, judge.given(scores), doubts.tolist(), strict=True):
        labels = [label for label, is_given in zip(judge.labels, given, strict=True) if is_given]
        guesses.update(labels)
        rows.append(
            {
                "text": candidate.text,
                "guess": labels[0] if judge.exclusive else labels,
                "score": round(float(candidate.scores.max()), 4),
                "unsure": round(doubt, 4),
                "file": candidate.file,
                "line": candidate.line,
            }
        )
    return rows, dict(guesses.most_common())
