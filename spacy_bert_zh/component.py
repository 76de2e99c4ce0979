"""The factories ``bert_textcat`` and ``bert_textcat_multilabel``.

Thin subclasses of spaCy's text categorizers: everything spaCy documents for those holds.
On top come class weights, label smoothing and soft targets.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
from spacy.language import Language
from spacy.pipeline.textcat import TextCategorizer, textcat_score
from spacy.pipeline.textcat_multilabel import MultiLabel_TextCategorizer, textcat_multilabel_score
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError

ClassWeights = Literal["balanced"] | dict[str, float] | None

_MODEL = """
[model]
@architectures = "spacy_bert_zh.BertTextCat.v1"
exclusive_classes = {exclusive}
dropout = 0.1
nO = null

[model.backbone]
@architectures = "spacy_bert_zh.TorchBackbone.v1"
name = null
revision = "main"
max_length = 512
stride = 64
max_windows = 0
pooling = "{pooling}"
mixed_precision = false
freeze_layers = 0
layer_decay = 1.0
gradient_checkpointing = false
"""
# Random weights learn through the mean of the pieces, hardly through [CLS].
DEFAULT_MODEL = Config().from_str(_MODEL.format(exclusive="true", pooling="mean"))["model"]
DEFAULT_MULTILABEL_MODEL = Config().from_str(_MODEL.format(exclusive="false", pooling="mean"))[
    "model"
]


class _BertLoss:
    """What both components add to spaCy's: the loss, and what it needs to know."""

    cfg: dict[str, Any]
    labels: tuple[str, ...]
    model: Model[Any, Any]
    name: str
    _rehearsal_model: Model[Any, Any] | None
    _examples_to_truth: Callable[..., Any]
    _validate_categories: Callable[..., Any]
    finish_update: Callable[..., Any]

    def _configure(self, class_weights: ClassWeights, label_smoothing: float) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise BertZhError(f"label_smoothing = {label_smoothing} must be in [0, 1)")
        self.cfg["class_weights"] = class_weights
        self.cfg["label_smoothing"] = label_smoothing

    def _resolve_class_weights(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Turn ``balanced`` into a table, as scikit-learn does: n / (classes × count)."""
        weights = self.cfg["class_weights"]
        if weights == "balanced":
            counts: Counter[str] = Counter()
            for example in get_examples():
                counts.update({k: float(v) for k, v in example.reference.cats.items()})  # type: ignore[arg-type]
            total = sum(counts.values())
            self.cfg["class_weights"] = {
                label: total / (len(self.labels) * max(counts[label], 1.0)) for label in self.labels
            }
        elif weights is not None and (unknown := set(weights) - set(self.labels)):
            raise BertZhError(
                f"class_weights names labels that '{self.name}' doesn't have: "
                f"{', '.join(sorted(unknown))} (it has {', '.join(self.labels)})"
            )

    def _smooth(self, truths: Floats2d) -> Floats2d:
        """Mix the targets with the uniform distribution (Szegedy et al. 2016, section 7)."""
        share = self.cfg["label_smoothing"]
        uniform = 1.0 / len(self.labels) if self._exclusive else 0.5
        return truths * (1.0 - share) + share * uniform  # type: ignore[no-any-return]

    @property
    def _exclusive(self) -> bool:
        return not isinstance(self, MultiLabel_TextCategorizer)

    def _weights(self, truths: Floats2d) -> Floats2d:
        """Weight of each score in the loss, shape (documents, labels) or (documents, 1)."""
        xp = self.model.ops.xp
        table = self.cfg["class_weights"] or {}
        row = xp.asarray([[table.get(label, 1.0) for label in self.labels]], dtype="float32")
        if self._exclusive:
            return (truths * row).sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
        return truths * row + (1.0 - truths)  # type: ignore[no-any-return]

    def get_loss(self, examples: Iterable[Example], scores: Floats2d) -> tuple[float, Floats2d]:
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
        truths, known = self._examples_to_truth(examples)
        xp = self.model.ops.xp
        weights = self._weights(truths) * xp.asarray(known) / max(len(examples), 1)
        targets = self._smooth(truths)
        clipped = xp.clip(scores, 1e-7, 1.0 - 1e-7)
        losses = -targets * xp.log(clipped)
        if not self._exclusive:
            losses -= (1.0 - targets) * xp.log(1.0 - clipped)
        return float((losses * weights).sum()), (scores - targets) * weights

    def predict(self, docs: Iterable[Doc]) -> Floats2d:
        """Scores of documents, shape (documents, labels).

        A document without tokens gets the same scores alone and among others.
        """
        docs = list(docs)
        if not docs:
            return self.model.ops.alloc2f(0, len(self.labels))
        return self.model.ops.asarray2f(self.model.predict(docs))

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
        docs = [example.predicted for example in examples]
        if self._rehearsal_model is None or not docs:
            return losses
        set_dropout_rate(self.model, drop)
        scores, backprop = self.model.begin_update(docs)
        gradient = (scores - self._rehearsal_model.predict(docs)) / len(docs)
        backprop(gradient)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += float((gradient**2).sum())
        return losses


class BertTextCategorizer(_BertLoss, TextCategorizer):
    """Exactly one label a document; see spaCy's ``textcat`` for the interface.

    Args:
        vocab: The shared vocabulary.
        model: Documents to probabilities.
        name: Name in the pipeline.
        threshold: Unused, as in ``textcat``.
        scorer: Scoring method.
        class_weights: ``balanced``, or a weight for each label (1.0 if not named).
        label_smoothing: Share of each target spread evenly over the labels.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], Floats2d],
        name: str = "bert_textcat",
        *,
        threshold: float = 0.0,
        scorer: Callable[..., Any] | None = textcat_score,
        class_weights: ClassWeights = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(vocab, model, name, threshold=threshold, scorer=scorer)
        self._configure(class_weights, label_smoothing)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Iterable[str] | None = None,
        positive_label: str | None = None,
    ) -> None:
        """Take over labels and weights; see spaCy's ``TextCategorizer.initialize``."""
        super().initialize(get_examples, nlp=nlp, labels=labels, positive_label=positive_label)
        self._resolve_class_weights(get_examples)
        forget_folder(nlp, self.name)

    def _validate_categories(self, examples: Iterable[Example]) -> None:
        """Soft targets are allowed, as long as they are a distribution."""
        for example in examples:
            values = list(example.reference.cats.values())
            _check_range(example)
            if sum(values) > 1.0 + 1e-3:
                raise BertZhError(
                    f"bert_textcat takes one label a document, but the cats of "
                    f"'{example.reference.text[:40]}' add up to {sum(values):g}; "
                    "for several labels use bert_textcat_multilabel"
                )


class BertMultiLabelTextCategorizer(_BertLoss, MultiLabel_TextCategorizer):
    """Any number of labels a document; see spaCy's ``textcat_multilabel``.

    Args:
        vocab: The shared vocabulary.
        model: Documents to probabilities.
        name: Name in the pipeline.
        threshold: Score from which a label counts as given.
        scorer: Scoring method.
        class_weights: ``balanced``, or a weight for each label where it is true.
        label_smoothing: Share of each target drawn towards 0.5.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], Floats2d],
        name: str = "bert_textcat_multilabel",
        *,
        threshold: float = 0.5,
        scorer: Callable[..., Any] | None = textcat_multilabel_score,
        class_weights: ClassWeights = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(vocab, model, name, threshold=threshold, scorer=scorer)
        self._configure(class_weights, label_smoothing)

    def initialize(  # type: ignore[override]
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Iterable[str] | None = None,
    ) -> None:
        """Take over labels and weights; see spaCy's ``MultiLabel_TextCategorizer``."""
        super().initialize(get_examples, nlp=nlp, labels=labels)
        self._resolve_class_weights(get_examples)
        forget_folder(nlp, self.name)

    def _validate_categories(self, examples: Iterable[Example]) -> None:
        """Soft targets are allowed."""
        for example in examples:
            _check_range(example)


def _check_range(example: Example) -> None:
    for label, value in example.reference.cats.items():
        if not 0.0 <= value <= 1.0:
            raise BertZhError(
                f"The cats of '{example.reference.text[:40]}' give '{label}' the value {value}: "
                "it must be between 0 and 1"
            )


def forget_folder(nlp: Language | None, name: str) -> None:
    """Keep a local checkpoint folder out of the config that the pipeline is saved with.

    The pipeline holds the weights itself by now, so only the folder's own name stays.
    """
    if nlp is None or name not in nlp.pipe_names:
        return
    backbone = nlp._pipe_configs[name].get("model", {}).get("backbone", {})
    source = backbone.get("name")
    if isinstance(source, str) and not source.startswith("$") and "/" in source:
        from pathlib import Path

        if Path(source).is_dir():
            backbone["name"] = Path(source).name


@Language.factory(
    "bert_textcat",
    assigns=["doc.cats"],
    default_config={
        "model": DEFAULT_MODEL,
        "threshold": 0.0,
        "scorer": {"@scorers": "spacy.textcat_scorer.v2"},
        "class_weights": None,
        "label_smoothing": 0.0,
    },
    default_score_weights={
        "cats_score": 1.0,
        "cats_score_desc": None,
        "cats_micro_p": None,
        "cats_micro_r": None,
        "cats_micro_f": None,
        "cats_macro_p": None,
        "cats_macro_r": None,
        "cats_macro_f": None,
        "cats_macro_auc": None,
        "cats_f_per_type": None,
    },
)
def make_bert_textcat(
    nlp: Language,
    name: str,
    model: Model[list[Doc], Floats2d],
    threshold: float,
    scorer: Callable[..., Any] | None,
    class_weights: Literal["balanced"] | dict[str, float] | None,
    label_smoothing: float,
) -> BertTextCategorizer:
    """Build the component ``bert_textcat``."""
    return BertTextCategorizer(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        scorer=scorer,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
    )


@Language.factory(
    "bert_textcat_multilabel",
    assigns=["doc.cats"],
    default_config={
        "model": DEFAULT_MULTILABEL_MODEL,
        "threshold": 0.5,
        "scorer": {"@scorers": "spacy.textcat_multilabel_scorer.v2"},
        "class_weights": None,
        "label_smoothing": 0.0,
    },
    default_score_weights={
        "cats_score": 1.0,
        "cats_score_desc": None,
        "cats_micro_p": None,
        "cats_micro_r": None,
        "cats_micro_f": None,
        "cats_macro_p": None,
        "cats_macro_r": None,
        "cats_macro_f": None,
        "cats_macro_auc": None,
        "cats_f_per_type": None,
    },
)
def make_bert_textcat_multilabel(
    nlp: Language,
    name: str,
    model: Model[list[Doc], Floats2d],
    threshold: float,
    scorer: Callable[..., Any] | None,
    class_weights: Literal["balanced"] | dict[str, float] | None,
    label_smoothing: float,
) -> BertMultiLabelTextCategorizer:
    """Build the component ``bert_textcat_multilabel``."""
    return BertMultiLabelTextCategorizer(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        scorer=scorer,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
    )
