"""A tree of labels over arrays of scores: a parent is at least as likely as what lies under it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.textcat.taxonomy import Taxonomy


class Tree:
    """The labels of a classifier as a tree, or several.

    Args:
        labels: In the order of the scores.
        parents: The parent of each label that has one; others than `labels` are left out.

    Attributes:
        labels: As given.
        parents: Of these labels.
        depths: How many labels lie above each; int (labels,).
        groups: Labels and, below each, its children, by column; from the top.
        tops: Columns of the labels without a parent.
    """

    def __init__(self, labels: Sequence[str], parents: Mapping[str, str]) -> None:
        self.labels = list(labels)
        columns = {label: column for column, label in enumerate(self.labels)}
        known = {child: parent for child, parent in parents.items() if child in columns}
        self.parents = {child: parent for child, parent in known.items() if parent in columns}
        taxonomy = Taxonomy(self.parents)
        self.depths = np.asarray([len(taxonomy.path(label)) - 1 for label in self.labels], int)
        children: dict[int, list[int]] = {}
        for child, parent in self.parents.items():
            children.setdefault(columns[parent], []).append(columns[child])
        order = sorted(children, key=lambda column: (self.depths[column], column))
        self.groups = [(column, np.asarray(sorted(children[column]))) for column in order]
        self.tops = np.flatnonzero(self.depths == 0)

    @property
    def leaves(self) -> NDArray[np.intp]:
        """Columns of the labels under which no other lies."""
        return np.setdiff1d(np.arange(len(self.labels)), [column for column, _ in self.groups])

    def winners(self, scores: Any) -> NDArray[np.intp]:
        """The best of each label and all below it, by column; of equal ones the upper one.

        Args:
            scores: Shape (texts, labels).

        Returns:
            Shape (texts, labels).
        """
        best = np.tile(np.arange(len(self.labels)), (len(scores), 1))
        for parent, children in reversed(self.groups):
            columns = best[:, [parent, *children]]
            held = np.take_along_axis(scores, columns, 1)
            best[:, parent] = np.take_along_axis(columns, held.argmax(1)[:, None], 1)[:, 0]
        return best

    def raised(self, scores: Any) -> Any:
        """Each label's score, or that of a label below it where that is higher; same shape.

        The max constraint module (Giunchiglia & Lukasiewicz 2020, arXiv 2010.10151, section 3).
        Of zeros and ones it gives a label wherever one below it is given.
        """
        return np.take_along_axis(scores, self.winners(scores), 1)

    def one_path(self, scores: Any, given: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The best label at the top, under it the best again, and so on while they are given.

        Args:
            scores: Shape (texts, labels).
            given: Which labels reach their thresholds; shape (texts, labels).

        Returns:
            Shape (texts, labels).
        """
        rows = np.arange(len(scores))
        kept = np.zeros(np.shape(scores), dtype=bool)
        goes = np.ones(len(scores), dtype=bool)
        for parent, children in [(None, self.tops), *self.groups]:
            best = children[scores[:, children].argmax(1)]
            goes_on = given[rows, best] & (goes if parent is None else kept[:, parent])
            kept[rows[goes_on], best[goes_on]] = True
        return kept

    def table(self) -> NDArray[np.int64]:
        """Each label and all below it, by column, for graphs that take the highest of each row.

        Returns:
            Shape (labels, most of them in a row); what is missing repeats the label.
        """
        below = [[column] for column in range(len(self.labels))]
        for parent, children in reversed(self.groups):
            below[parent] += [column for child in children for column in below[child]]
        width = max(map(len, below))
        return np.asarray([row + row[:1] * (width - len(row)) for row in below])

    def violations(self, scores: Any) -> NDArray[np.bool_]:
        """Where a label has more than its parent; shape (texts, labels with a parent)."""
        columns = {label: column for column, label in enumerate(self.labels)}
        pairs = [(columns[child], columns[parent]) for child, parent in self.parents.items()]
        children, above = np.asarray(pairs, int).reshape(-1, 2).T
        found: NDArray[np.bool_] = scores[:, children] > scores[:, above]
        return found
