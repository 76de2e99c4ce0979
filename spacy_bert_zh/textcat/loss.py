"""The loss of our text categorizers: class weights, label smoothing, soft targets."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import cast

from spacy.training import Example, validate_examples
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.settings import Configurable

Objective = Callable[[list[Example], Floats2d], tuple[float, Floats2d]]
"""Of a batch and its scores, (documents, labels): a loss, and its gradient by the logits."""


LEAST = 1e-7
"""Of a score in a logarithm."""


class Loss(Configurable):
    """Cross-entropy with what spaCy's text categorizers don't have.

    Attributes:
        objective: What is learnt by instead, for as long as it is set; never saved.
    """

    objective: Objective | None = None

    def resolve_class_weights(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Turn ``balanced`` into a table, as scikit-learn does: n / (classes × count).

        Raises:
            BertZhError: A label is unknown, or ``balanced`` finds no example of one.
        """
        weights = self.cfg["class_weights"]
        if weights == "balanced":
            counts = self._count_labels(get_examples())
            if missing := [label for label in self.labels if not counts[label]]:
                raise BertZhError(
                    f"class_weights = 'balanced' finds no example of {', '.join(missing)}; where "
                    "spaCy streams the corpus (training.max_epochs = -1) it shows only the first "
                    "100: give a table of weights instead"
                )
            mean = sum(counts.values()) / len(self.labels)
            self.cfg["label_weights"] = {label: mean / counts[label] for label in self.labels}
        elif weights is not None and (unknown := set(weights) - set(self.labels)):
            raise BertZhError(
                f"class_weights names labels that '{self.name}' doesn't have: "
                f"{', '.join(sorted(unknown))} (it has {', '.join(self.labels)})"
            )

    def _count_labels(self, examples: Iterable[Example]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for example in examples:
            cats = example.reference.cats
            counts.update({label: cats.get(label, 0.0) for label in self.labels})
        return counts

    def _smooth(self, truths: Floats2d) -> Floats2d:
        """Mix the targets with the uniform distribution (Szegedy et al. 2016, section 7)."""
        share = self.cfg["label_smoothing"]
        uniform = 1.0 / len(self.labels) if self._exclusive else 0.5
        return cast(Floats2d, truths * (1.0 - share) + share * uniform)

    def _weights(self, truths: Floats2d) -> Floats2d:
        """Weight of each score in the loss, shape (documents, labels) or (documents, 1)."""
        xp = self.model.ops.xp
        table = self.cfg["label_weights"]
        if self.cfg["class_weights"] == "balanced" and not table:
            raise BertZhError(
                f"'{self.name}': class_weights = 'balanced' counts the labels in nlp.initialize, "
                "which this pipeline was trained without: give a table of weights instead"
            )
        row = xp.asarray([[table.get(label, 1.0) for label in self.labels]], dtype="float32")
        if self._exclusive:
            return (truths * row).sum(axis=1, keepdims=True)
        return truths * row + (1.0 - truths)

    def get_loss(  # type: ignore[override]
        self, examples: Iterable[Example], scores: Floats2d
    ) -> tuple[float, Floats2d]:
        """Cross-entropy, averaged over the documents, and its gradient.

        Softmax cross-entropy for exclusive classes, the sum of binary cross-entropies for
        the others. Annotations that are missing count for nothing (multi-label only).

        Args:
            examples: The batch; cats may be probabilities (soft targets).
            scores: Predicted probabilities, shape (documents, labels).

        Returns:
            The loss, and its gradient with respect to the logits, shaped like `scores`.
        """
        examples = list(examples)
        validate_examples(examples, "get_loss")
        self._validate_categories(examples)
        if self.objective is not None:
            return self.objective(examples, scores)
        array, known = self._examples_to_truth(examples)
        truths = self.model.ops.asarray2f(cast(Floats2d, array))
        xp = self.model.ops.xp
        weights = self._weights(truths) * xp.asarray(known) / max(len(examples), 1)
        return self._cross_entropy(scores, truths, weights)

    def _cross_entropy(
        self, scores: Floats2d, truths: Floats2d, weights: Floats2d
    ) -> tuple[float, Floats2d]:
        """The loss, and its gradient by the logits; all of shape (documents, labels)."""
        xp = self.model.ops.xp
        targets = self._smooth(truths)
        losses = -targets * xp.log(xp.maximum(scores, LEAST))
        if not self._exclusive:
            losses -= (1.0 - targets) * xp.log(xp.maximum(1.0 - scores, LEAST))
        return float((losses * weights).sum()), (scores - targets) * weights


def check_range(example: Example) -> None:
    """Refuse cats that are no probabilities.

    Raises:
        BertZhError: A value is below 0 or above 1.
    """
    for label, value in example.reference.cats.items():
        if not 0.0 <= value <= 1.0:
            raise BertZhError(
                f"The cats of '{example.reference.text[:40]}' give '{label}' the value {value}: "
                "it must be between 0 and 1"
            )
