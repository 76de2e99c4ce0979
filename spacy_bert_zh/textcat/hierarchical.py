"""The factory ``bert_textcat_hierarchical``: labels that are a tree, and scores that know it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example
from thinc.api import Model, to_numpy
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.component import (
    SCORE_WEIGHTS,
    BertMultiLabelTextCategorizer,
    component_factory,
    default_config,
)
from spacy_bert_zh.textcat.loss import LEAST
from spacy_bert_zh.textcat.taxonomy import SEPARATOR, Taxonomy, split_labels
from spacy_bert_zh.textcat.tree import Tree

Paths = Literal["several", "one"]


class BertHierarchicalTextCategorizer(BertMultiLabelTextCategorizer):
    """Labels of a tree: no label ever scores more than its parent.

    Each label has a sigmoid of its own, and says the highest of its own and of those of all labels
    below it; the loss is that of what is said (max constraint and its loss: C-HMCNN, Giunchiglia &
    Lukasiewicz 2020, arXiv 2010.10151, section 3). A text that has a label has all above it,
    whether its cats name them or not; its path may end anywhere.

    Attributes:
        paths: "several" gives every label from its threshold on; "one" at each level the best one
            below that of the level before, as long as it reaches its threshold. Never saved, the
            config says it.
    """

    paths: Paths = "several"
    _tree: tuple[tuple[str, ...], dict[str, str], Tree] | None = None

    @property
    def tree(self) -> Tree:
        """The labels' tree, by the columns of the scores."""
        labels, parents = self.labels, self.cfg.get("taxonomy") or {}
        if self._tree is None or self._tree[:2] != (labels, parents):
            self._tree = labels, dict(parents), Tree(labels, parents)
        return self._tree[2]

    def initialize(  # type: ignore[override]
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Iterable[str] | None = None,
        taxonomy: Mapping[str, str] | None = None,
        separator: str = SEPARATOR,
    ) -> None:
        """Take over labels and their tree.

        Args:
            get_examples: As for spaCy's ``MultiLabel_TextCategorizer.initialize``.
            nlp: The pipeline.
            labels: Those of the corpus; else they are read from the examples.
            taxonomy: The parent of each label that has one, as `convert` writes it.
            separator: What stands between the levels of labels, where there is no taxonomy.

        Raises:
            BertZhError: There is no tree, or no possible one.
        """
        if labels is None:
            labels = (label for example in get_examples() for label in example.y.cats)
        names = list(dict.fromkeys([*self.labels, *labels]))
        tree = split_labels(names, separator) if taxonomy is None else Taxonomy(taxonomy)
        parents = tree.among(names)
        if not parents:
            raise BertZhError(
                f"'{self.name}' has no tree: no label has a '{separator}' in it; give "
                "initialize.components (or nlp.initialize) a taxonomy, child to parent, or the "
                "separator of the labels; for labels without a tree take bert_textcat_multilabel"
            )
        self.cfg["taxonomy"] = parents
        above = sorted(tree.closed(names) - set(names))
        super().initialize(get_examples, nlp=nlp, labels=[*names, *above])

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Read a component's folder; see `Restoring.from_disk`.

        Raises:
            BertZhError: It is damaged, of another component, or has labels without a tree.
        """
        super().from_disk(path, exclude=exclude)
        return self._with_tree()

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Read a component's bytes; see `Restoring.from_bytes`.

        Raises:
            BertZhError: They are damaged, of another component, or have labels without a tree.
        """
        super().from_bytes(bytes_data, exclude=exclude)
        return self._with_tree()

    def _with_tree(self) -> Self:
        if self.labels and not self.cfg.get("taxonomy"):
            raise BertZhError(
                f"The component '{self.name}' can't be read: its cfg has labels but no tree of "
                "them, as that of a bert_textcat_hierarchical has"
            )
        return self

    def follow(self, scores: NDArray[Any], reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which labels are given, of those that reach their thresholds; (texts, labels) each."""
        return self.tree.one_path(scores, reached) if self.paths == "one" else reached

    def _consistent(self, scores: Floats2d) -> Floats2d:
        return self.model.ops.asarray2f(self.tree.raised(to_numpy(scores)))

    def _examples_to_truth(self, examples: Iterable[Example]) -> tuple[Any, Any]:
        """Zeros and ones of all labels, (examples, labels) each: what holds, and what is known."""
        found, known = super()._examples_to_truth(list(examples))
        truths = self.tree.raised(to_numpy(found))
        return self.model.ops.asarray(truths), np.maximum(known, truths > 0)

    def _cross_entropy(
        self, scores: Floats2d, truths: Floats2d, weights: Floats2d
    ) -> tuple[float, Floats2d]:
        """MCLoss (Giunchiglia & Lukasiewicz 2020, section 3), and its gradient by the logits.

        Where a label holds, the best that holds of it and all below it is asked to be higher;
        where it doesn't, the best of all of them to be lower.
        """
        values, truth, factors = to_numpy(scores), to_numpy(truths), to_numpy(weights)
        targets = to_numpy(self._smooth(truths))
        rows, gradient = np.arange(len(values))[:, None], np.zeros_like(values)
        best, right = self.tree.winners(values), self.tree.winners(values * truth)
        high, held = values[rows, best], values[rows, right]
        losses = -targets * np.log(np.maximum(held, LEAST))
        losses -= (1.0 - targets) * np.log(np.maximum(1.0 - high, LEAST))
        np.add.at(gradient, (rows, right), factors * targets * (held - 1.0))
        np.add.at(gradient, (rows, best), factors * (1.0 - targets) * high)
        return float((losses * factors).sum()), self.model.ops.asarray2f(cast(Floats2d, gradient))


_make = component_factory(BertHierarchicalTextCategorizer)


@Language.factory(
    "bert_textcat_hierarchical",
    assigns=["doc.cats"],
    default_config={
        **default_config(False, 0.5, "spacy.textcat_multilabel_scorer.v2"),
        "paths": "several",
    },
    default_score_weights=SCORE_WEIGHTS,
)
def make_bert_textcat_hierarchical(
    nlp: Language,
    name: str,
    model: Model[Any, Floats2d],
    threshold: float,
    scorer: Callable[..., Any] | None,
    class_weights: str | dict[str, Any] | None,
    label_smoothing: float,
    r_drop: float,
    adversarial: str | None,
    adversarial_epsilon: float,
    as_vector: bool,
    paths: str,
) -> BertHierarchicalTextCategorizer:
    """Make a classifier for labels that are a tree; settings as in `configs/trees.cfg`.

    Raises:
        BertZhError: A setting has a value that it can't have.
    """
    if paths not in ("several", "one"):
        raise BertZhError(f"paths = {paths!r} must be 'several' or 'one'")
    practice = (r_drop, adversarial, adversarial_epsilon)
    settings = (class_weights, label_smoothing, *practice, as_vector)
    made = _make(nlp, name, model, threshold, scorer, *settings)
    made.paths = cast(Paths, paths)
    return made
