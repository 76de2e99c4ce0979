"""What an attack asks of a pipeline: texts in, labels and scores out, whatever its engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import check_corpus, read_shards
from spacy_bert_zh.loading import Answer, answer_all, is_exclusive, thresholds_of
from spacy_bert_zh.textcat import draw

CHUNK = 1024
"""Texts that a pipeline is given at once."""

Labels = tuple[str, ...]
"""In the order of the classifier's."""


@dataclass(frozen=True)
class Target:
    """A labelled text of a corpus."""

    text: str
    labels: Labels


@dataclass(frozen=True)
class Reply:
    """What a pipeline says of a text whose labels are known.

    Attributes:
        labels: Those that it gives.
        right: Whether they are the known ones.
        margin: How far the scores are from other labels; the less, the nearer.
    """

    labels: Labels
    right: bool
    margin: float


class Victim:
    """A pipeline under attack, of which nothing is known but its answers.

    Args:
        nlp: The pipeline.
        pipe: Its text classifier.
    """

    def __init__(self, nlp: Language, pipe: TextCategorizer) -> None:
        self.nlp, self.pipe = nlp, pipe
        self.exclusive = is_exclusive(pipe)
        self.asked = 0

    def targets(self, corpus: Path, limit: int) -> list[Target]:
        """The texts of a corpus, or so many of them.

        Raises:
            BertZhError: The corpus doesn't fit the classifier, or has one label alone.
        """
        check_corpus(self.nlp, self.pipe, corpus)
        every = list(self._read(corpus))
        if len({target.labels for target in every}) < 2:
            raise BertZhError(
                f"All texts of {corpus} have the same label: a pipeline that always says so can't "
                "be attacked; take a corpus with texts of others, too"
            )
        return draw(every, limit or len(every))

    def _read(self, corpus: Path) -> Iterator[Target]:
        for doc in read_shards(self.nlp, corpus):
            cats = {label: doc.cats.get(label, 0.0) for label in self.pipe.labels}
            best = max(cats, key=cats.__getitem__)
            held = (best,) if self.exclusive else tuple(y for y, value in cats.items() if value > 0)
            yield Target(doc.text, held)

    def ask(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Reply]:
        """What the pipeline says of texts that have the labels of some targets.

        The same text is asked about once. A text on which the pipeline fails has lost its labels.
        """
        unique = list(dict.fromkeys(texts))
        self.asked += len(unique)
        answers: dict[str, Answer | None] = {}
        for start in range(0, len(unique), CHUNK):
            chunk = unique[start : start + CHUNK]
            answers.update(zip(chunk, answer_all(self.nlp, chunk), strict=True))
        return [
            self._judge(answers[text], target.labels)
            for text, target in zip(texts, targets, strict=True)
        ]

    def _judge(self, answer: Answer | None, labels: Labels) -> Reply:
        if answer is None:
            return Reply((), False, -1.0)
        given = tuple(label for label in self.pipe.labels if label in answer.labels)
        scores = {label: answer.scores[label] for label in self.pipe.labels}
        if self.exclusive:
            others = [score for label, score in scores.items() if label not in labels]
            margin = scores[labels[0]] - max(others, default=0.0)
        else:
            least = thresholds_of(self.pipe)
            beyond = {label: score - least[label] for label, score in scores.items()}
            margin = min(beyond[label] * (1 if label in labels else -1) for label in beyond)
        return Reply(given, given == labels, margin)
