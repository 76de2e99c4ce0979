"""Explanations of a pipeline's mistakes, for the report of `evaluate`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from spacy.language import Language

from spacy_bert_zh.evaluate import Predictions, make_environment, rank_mistakes, read_shards
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.contrast import contrast
from spacy_bert_zh.explain.flow import explain
from spacy_bert_zh.explain.page import LEVELS, Told, notes, runs
from spacy_bert_zh.loading import find_words


class Mistakes:
    """Explains the most confident mistakes that a pipeline makes.

    Args:
        most: How many.
        nlp: The pipeline.
        component: Its text classifier.

    Raises:
        BertZhError: It can't be explained, or jieba is not installed.

    Examples:
        >>> from functools import partial
        >>> from spacy_bert_zh.evaluate import evaluate
        >>> corpus, output = Path("corpus/dev"), Path("evaluation")
        >>> metrics = evaluate("training/model-best", corpus, output, explain=partial(Mistakes, 5))
    """

    def __init__(self, most: int, nlp: Language, component: str) -> None:
        self._most, self._nlp, self._component = most, nlp, component
        Classifier(nlp, component)
        find_words("好")

    def __call__(self, corpus: Path, predictions: Predictions) -> dict[int, str]:
        """HTML of the reasons, by the numbers of texts; the first brings the style along.

        Args:
            corpus: The texts.
            predictions: What the pipeline said of them.
        """
        environment = make_environment("spacy_bert_zh.explain")
        template = environment.get_template("mistake.html")
        colours = environment.get_template("colours.html").render(levels=LEVELS)
        found: dict[int, str] = {}
        chosen = set(rank_mistakes(predictions)[: self._most].tolist())
        for row, text in self._texts(corpus, chosen):
            told = self._explain(text, predictions, row)
            html = template.render(explanation=told.explanation, said=notes(told), runs=runs)
            found[row] = html if found else colours + html
        return found

    def _texts(self, corpus: Path, chosen: set[int]) -> Iterator[tuple[int, str]]:
        for row, doc in enumerate(read_shards(self._nlp, corpus)):
            if row in chosen:
                yield row, doc.text

    def _explain(self, text: str, predictions: Predictions, row: int) -> Told:
        """Why this label and not the right one; of several labels, why those that are wrong."""
        gold, given = predictions.gold[row], predictions.predicted[row]
        wrong = [predictions.labels[i] for i in np.flatnonzero(given > gold)]
        missed = [predictions.labels[i] for i in np.flatnonzero(gold > given)]
        against = missed[0] if predictions.exclusive else None
        (one,) = explain(
            self._nlp,
            [text],
            wrong if predictions.exclusive else [*wrong, *missed],
            against=against,
            component=self._component,
        )
        return Told(one, contrast(self._nlp, one, self._component), None)
