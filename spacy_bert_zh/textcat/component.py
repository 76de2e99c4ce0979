"""The factories ``bert_textcat`` and ``bert_textcat_multilabel``.

Thin subclasses of spaCy's text categorizers: everything spaCy documents for those holds.
On top come class weights, label smoothing and soft targets.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from spacy.language import Language
from spacy.pipeline.textcat import textcat_score
from spacy.pipeline.textcat_multilabel import MultiLabel_TextCategorizer, textcat_multilabel_score
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import sections_of
from spacy_bert_zh.textcat.base import BertTextCat
from spacy_bert_zh.textcat.class_weights import ClassWeights, check_writable
from spacy_bert_zh.textcat.loss import check_range
from spacy_bert_zh.textcat.practice import Practice


class BertTextCategorizer(BertTextCat):
    """Exactly one label a document; see spaCy's ``textcat`` for the interface.

    Args:
        vocab: The shared vocabulary.
        model: Documents to probabilities.
        name: Name in the pipeline.
        threshold: Unused, as in ``textcat``.
        scorer: Scoring method.
        class_weights: ``balanced``, or a weight for each label (1.0 if not named), also as JSON
            in a string.
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
        class_weights: ClassWeights | str = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(vocab, model, name, threshold=threshold, scorer=scorer)
        self.configure(class_weights, label_smoothing)

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
        self.resolve_class_weights(get_examples)
        self.start_head(get_examples)
        _forget_folder(nlp, self.name)

    def _validate_categories(self, examples: Iterable[Example]) -> None:
        """Soft targets are allowed, as long as they are a distribution (give or take rounding)."""
        for example in examples:
            check_range(example)
            total = sum(example.reference.cats.values())
            if total and abs(total - 1.0) > 0.01:
                raise BertZhError(
                    f"bert_textcat takes one label a document, but the cats of "
                    f"'{example.reference.text[:40]}' add up to {total:g}, not 1; "
                    "for several labels use bert_textcat_multilabel"
                )


class BertMultiLabelTextCategorizer(BertTextCat, MultiLabel_TextCategorizer):
    """Any number of labels a document; see spaCy's ``textcat_multilabel``.

    Args:
        vocab: The shared vocabulary.
        model: Documents to probabilities.
        name: Name in the pipeline.
        threshold: Score from which a label counts as given.
        scorer: Scoring method.
        class_weights: ``balanced``, or a weight for each label where it is true, also as JSON
            in a string.
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
        class_weights: ClassWeights | str = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(vocab, model, name, threshold=threshold, scorer=scorer)
        self.configure(class_weights, label_smoothing)

    def initialize(  # type: ignore[override]
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Iterable[str] | None = None,
    ) -> None:
        """Take over labels and weights; see spaCy's ``MultiLabel_TextCategorizer``."""
        super().initialize(get_examples, nlp=nlp, labels=labels)
        self.resolve_class_weights(get_examples)
        self.start_head(get_examples)
        _forget_folder(nlp, self.name)

    def _validate_categories(self, examples: Iterable[Example]) -> None:
        """Soft targets are allowed."""
        for example in examples:
            check_range(example)


def _forget_folder(nlp: Language | None, name: str) -> None:
    """Keep a local checkpoint folder out of the config that the pipeline is saved with.

    The pipeline holds the weights itself by now, so only the folder's own name stays.
    """
    if nlp is None or name not in nlp.pipe_names:
        return
    backbone = nlp._pipe_configs[name].get("model", {}).get("backbone", {})
    for section in sections_of(backbone).values():
        source = section.get("name")
        # A variable such as ${paths.weights} is no folder and stays.
        if isinstance(source, str) and "/" in source and Path(source).is_dir():
            section["name"] = Path(source).name


def default_backbone() -> dict[str, Any]:
    """The backbone where a config says nothing, the same as in `configs/ensemble.cfg`."""
    return {
        "@architectures": "spacy_bert_zh.TorchBackbone.v1",
        "name": None,
        "revision": "main",
        "max_length": 128,
        "stride": None,
        "max_windows": 2,
        "pooling": "mean",
        "mixed_precision": "auto",
        "freeze_layers": 0,
        "layer_decay": 1.0,
        "gradient_checkpointing": False,
        "prefix": None,
        "trim": None,
    }


def default_config(exclusive_classes: bool, threshold: float, scorer: str) -> dict[str, Any]:
    """What the factories take where a config says nothing."""
    linear_model = {
        "@architectures": "spacy_bert_zh.NgramLinear.v2",
        "ngram_size": 3,
        "length": 2**18,
        "nO": None,
    }
    model = {
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v4",
        "exclusive_classes": exclusive_classes,
        "dropout": 0.1,
        "head_rate": 10.0,
        "network_share": 0.4,
        "nO": None,
        "linear_model": linear_model,
        "backbone": default_backbone(),
    }
    return {
        "model": model,
        "threshold": threshold,
        "scorer": {"@scorers": scorer},
        "class_weights": None,
        "label_smoothing": 0.0,
        "r_drop": 0.0,
        "adversarial": None,
        "adversarial_epsilon": 0.1,
        "as_vector": False,
    }


# As spaCy weighs its own text categorizers: cats_score counts, the others are shown.
_SCORES = ("score_desc", "micro_p", "micro_r", "micro_f", "macro_p", "macro_r", "macro_f")
SCORE_WEIGHTS: dict[str, float | None] = {
    "cats_score": 1.0,
    **{f"cats_{name}": None for name in (*_SCORES, "macro_auc", "f_per_type")},
}


Component = TypeVar("Component", bound=BertTextCategorizer | BertMultiLabelTextCategorizer)


def component_factory(component: type[Component]) -> Callable[..., Component]:
    """What makes a component of a class, by the settings that all of them have."""

    def make(
        nlp: Language,
        name: str,
        model: Model[list[Doc], Floats2d],
        threshold: float,
        scorer: Callable[..., Any] | None,
        class_weights: str | dict[str, Any] | None,
        label_smoothing: float,
        r_drop: float,
        adversarial: str | None,
        adversarial_epsilon: float,
        as_vector: bool,
    ) -> Component:
        check_writable(class_weights)
        if as_vector and not model.has_ref("backbone"):
            raise BertZhError(
                f"as_vector = true: '{name}' has no BERT of ours that would give a vector"
            )
        made = component(
            nlp.vocab,
            model,
            name,
            threshold=threshold,
            scorer=scorer,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
        )
        made.practice = Practice(r_drop, cast(Any, adversarial), adversarial_epsilon)
        made.as_vector = as_vector
        return made

    return make


make_bert_textcat = Language.factory(
    "bert_textcat",
    assigns=["doc.cats"],
    default_config=default_config(True, 0.0, "spacy.textcat_scorer.v2"),
    default_score_weights=SCORE_WEIGHTS,
)(component_factory(BertTextCategorizer))

make_bert_textcat_multilabel = Language.factory(
    "bert_textcat_multilabel",
    assigns=["doc.cats"],
    default_config=default_config(False, 0.5, "spacy.textcat_multilabel_scorer.v2"),
    default_score_weights=SCORE_WEIGHTS,
)(component_factory(BertMultiLabelTextCategorizer))
