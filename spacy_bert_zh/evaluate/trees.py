"""How well a tree of labels is told: by level, along the paths, and whether answers agree."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate.bootstrap import answer_columns, answer_figures, interval, resample
from spacy_bert_zh.evaluate.metrics import average, measure_class
from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.textcat import Tree

Columns = NDArray[np.intp]


def measure_tree(
    predictions: Predictions, parents: Mapping[str, str], classes: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure what a pipeline said of labels that are a tree.

    Args:
        predictions: What it said.
        parents: The parent of each label that has one.
        classes: The measures of each label, see `measure`.

    Returns:
        ``hierarchical`` precision, recall and F1 (Kiritchenko et al. 2005, *Functional annotation
        of genes using hierarchical text categorization*: labels with all above them,
        counted over all texts); ``exact_path``, the share of texts whose labels, with all above
        them, are all right; ``violations``: how often a score is above its parent's, or a label is
        given without its parent, and in how many texts either is so; ``levels`` from the top and
        ``leaves``, each with its micro and macro averages; ``intervals`` by figure; ``nodes``, the
        tree from top to bottom.

    Raises:
        BertZhError: No label's parent is a label, too.
    """
    tree = Tree(predictions.labels, parents)
    if not tree.parents:
        raise BertZhError(
            "The taxonomy is of other labels: it has none whose parent the pipeline knows, too; "
            "give that of the corpus it was trained on (taxonomy.json, as 'convert' writes it)"
        )
    gold, given = tree.raised(predictions.gold), tree.raised(predictions.predicted)
    sums = np.column_stack([(gold & given).sum(1), given.sum(1), gold.sum(1)]).astype(float)
    precision, recall, f1 = map(float, _along_paths(sums.sum(0)))
    scores = tree.violations(predictions.scores)
    # Where nothing is known of a parent, nobody can say that it wasn't given.
    untold = tree.violations(predictions.known.astype(int))
    decisions = tree.violations(predictions.predicted) & ~untold
    leaves = replace(
        predictions,
        gold=predictions.gold[:, tree.leaves],
        predicted=predictions.predicted[:, tree.leaves],
    )
    figures = answer_figures(resample(answer_columns(leaves)), len(gold))
    return {
        "hierarchical": {"precision": precision, "recall": recall, "f1": f1},
        "exact_path": float((gold == given).all(1).mean()),
        "violations": {
            "scores": int(scores.sum()),
            "decisions": int(decisions.sum()),
            "texts": int((scores | decisions).any(1).sum()),
        },
        "levels": [
            _part(predictions, np.flatnonzero(tree.depths == depth), classes)
            for depth in range(int(tree.depths.max()) + 1)
        ],
        "leaves": _part(predictions, tree.leaves, classes),
        "intervals": {
            "hierarchical_f1": interval(_along_paths(resample(sums))[2]),
            "leaves_macro_f1": interval(figures["macro_f1"]),
        },
        "nodes": [
            {"label": tree.labels[column], "depth": int(tree.depths[column])}
            for column in _in_order(tree)
        ],
    }


def _along_paths(sums: NDArray[np.float64]) -> tuple[Any, Any, Any]:
    """Precision, recall and F1 of sums (…, 3): of both, of what is given, of what holds."""
    both, given, gold = np.moveaxis(sums, -1, 0)
    return (
        both / np.maximum(given, 1),
        both / np.maximum(gold, 1),
        2 * both / np.maximum(given + gold, 1),
    )


def _part(predictions: Predictions, columns: Columns, classes: Mapping[str, Any]) -> dict[str, Any]:
    """Averages over some of the labels, as `measure` has them over all."""
    cells = (predictions.gold, predictions.predicted, predictions.scores, predictions.known)
    support = predictions.gold[:, columns].sum(axis=0)
    found = [classes[predictions.labels[column]] for column in columns]
    return {
        "labels": len(columns),
        "macro": average(found, support > 0),
        "micro": measure_class(*(matrix[:, columns].ravel() for matrix in cells)),
    }


def _in_order(tree: Tree) -> Iterator[int]:
    """The columns of a tree's labels, each followed by those below it."""
    children = dict(tree.groups)
    waiting = list(reversed(tree.tops.tolist()))
    while waiting:
        column = waiting.pop()
        yield column
        waiting += reversed(children.get(column, np.empty(0, int)).tolist())
