"""What our text categorizers add to spaCy's: the loss, class weights, soft targets."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from spacy.pipeline.textcat_multilabel import MultiLabel_TextCategorizer
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from thinc.api import Optimizer, set_dropout_rate, to_numpy
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import Documents, Reading
from spacy_bert_zh.textcat.class_weights import ClassWeights, read_class_weights
from spacy_bert_zh.textcat.restoring import Restoring

log = logging.getLogger(__name__)

SETTINGS = ("threshold", "class_weights", "label_smoothing")
"""What the config says and `cfg`, which is saved with the component, as well."""

if not Doc.has_extension("bert_textcat"):
    Doc.set_extension("bert_textcat", default=None)


class _Readings(WeakKeyDictionary[Doc, Reading]):
    """What was read of documents between `predict` and `set_annotations`."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing of it is copied or saved."""
        return type(self), ()


class BertLoss(Restoring):
    """What goes between our classes and spaCy's, multi-label ones included."""

    def configure(self, class_weights: ClassWeights | str, label_smoothing: float) -> None:
        """Check the settings and keep them where the component is saved.

        Args:
            class_weights: See `read_class_weights`.
            label_smoothing: Share of each target spread evenly over the labels.

        Raises:
            BertZhError: A value is out of range, or the model is for the other component.
        """
        if not 0.0 <= label_smoothing < 1.0:
            raise BertZhError(f"label_smoothing = {label_smoothing} must be in [0, 1)")
        weights = read_class_weights(class_weights)
        if self.model.attrs.get("multi_label", not self._exclusive) == self._exclusive:
            raise BertZhError(
                f"'{self.name}' needs a model with exclusive_classes = {self._exclusive}"
            )
        self.cfg["class_weights"] = weights
        self.cfg["label_weights"] = weights if isinstance(weights, dict) else {}
        self.cfg["label_smoothing"] = label_smoothing
        self.cfg["configured"] = {name: self.cfg[name] for name in SETTINGS}
        self._readings = _Readings()

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Load the component; a setting is what the config says now, see `_settle`."""
        with self._settling():
            return super().from_disk(path, exclude=exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Load the component; a setting is what the config says now, see `_settle`."""
        with self._settling():
            return super().from_bytes(bytes_data, exclude=exclude)

    @contextmanager
    def _settling(self) -> Iterator[None]:
        given = self.cfg.pop("configured")
        try:
            yield
        except BaseException:
            self.cfg["configured"] = given
            raise
        self._settle(given)

    def _settle(self, given: dict[str, Any]) -> None:
        """Choose between what the config says and what the component was saved with.

        Where the config has changed since, by an edit or an override, it holds. Where it hasn't,
        somebody changed `cfg` itself before saving, and that holds. What an earlier version saved
        can't tell the two apart: there the config holds.

        Args:
            given: The settings that the config gave.
        """
        then = self.cfg.pop("configured", None)
        then = then if isinstance(then, dict) else None
        for name, value in given.items():
            saved = self.cfg[name]
            differs = not _same(saved, value)
            is_kept = differs and then is not None and _same(then.get(name), value)
            if isinstance(value, int | float) and not isinstance(saved, int | float):
                is_kept = False  # damaged
            if is_kept or (differs and then is None):
                log.warning(
                    "%s: %s = %s in the config, but %s in what was saved: the %s holds",
                    *(self.name, name, value, saved, "latter" if is_kept else "config"),
                )
            if is_kept:
                continue
            self.cfg[name] = value
            if differs and name == "class_weights":
                self.cfg["label_weights"] = value if isinstance(value, dict) else {}
        self.cfg["configured"] = given

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

    @property
    def _exclusive(self) -> bool:
        return not isinstance(self, MultiLabel_TextCategorizer)

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
        array, known = self._examples_to_truth(examples)
        truths = self.model.ops.asarray2f(cast(Floats2d, array))
        xp = self.model.ops.xp
        weights = self._weights(truths) * xp.asarray(known) / max(len(examples), 1)
        targets = self._smooth(truths)
        losses = -targets * xp.log(xp.maximum(scores, 1e-7))
        if not self._exclusive:
            losses -= (1.0 - targets) * xp.log(xp.maximum(1.0 - scores, 1e-7))
        return float((losses * weights).sum()), (scores - targets) * weights

    def predict(self, docs: Iterable[Doc]) -> Floats2d:
        """Scores of documents, which stay as they are; shape (documents, labels).

        A document without tokens gets the same scores alone and among others, but from an
        architecture that isn't ours: there alone it gets zeros, as in spaCy's ``textcat``.
        """
        read = Documents(docs)
        if not self._can_compute(read):
            return self.model.ops.alloc2f(len(read), len(self.labels))
        scores = cast(Floats2d, self.model.predict(read))
        self._readings.update(zip(read, read.readings, strict=False))
        return scores

    def _can_compute(self, docs: list[Doc]) -> bool:
        """Whether the model bears these documents: ours take any, others want a token."""
        is_ours = self.model.has_ref("backbone")
        return bool(docs) and (is_ours or any(len(doc) for doc in docs))

    def set_annotations(self, docs: Iterable[Doc], scores: Floats2d) -> None:
        """Write the scores into ``doc.cats``, after one copy from the device for all of them.

        What was read of a document goes into ``doc._.bert_textcat``, under the component's name.
        """
        labels = self.labels
        for doc, row in zip(docs, to_numpy(scores).tolist(), strict=True):
            doc.cats.update(zip(labels, row, strict=True))
            reading = self._readings.pop(doc, None)
            if reading and Doc.has_extension("bert_textcat"):
                doc._.bert_textcat = {**(doc._.bert_textcat or {}), self.name: reading}

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Pull the scores towards those the pipeline had at `nlp.resume_training`.

        Unlike spaCy's, the earlier model answers without dropout.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "rehearse")
        docs = [example.predicted for example in examples]
        if self._rehearsal_model is None or not self._can_compute(docs):
            return losses
        set_dropout_rate(self.model, drop)
        scores, backprop = self.model.begin_update(docs)
        gradient = (scores - self._rehearsal_model.predict(docs)) / len(docs)
        backprop(gradient)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += float((gradient**2).sum())
        return losses


def _same(saved: Any, value: Any) -> bool:
    """Whether two values of a setting are equal; numbers come back from JSON slightly changed."""
    if isinstance(saved, dict) and isinstance(value, dict):
        return saved.keys() == value.keys() and all(_same(saved[k], value[k]) for k in value)
    if isinstance(saved, int | float) and isinstance(value, int | float):
        return math.isclose(saved, value, rel_tol=1e-9)
    return bool(saved == value)


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
