"""Rows dealt out to parts: each with its share of every label, near-duplicates together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.reading.duplicates import Pairs, group, near_pairs


def near_groups(
    texts: Sequence[str], links: Sequence[tuple[int, int]] = (), pairs: Pairs | None = None
) -> NDArray[np.int64]:
    """Number the groups of texts that belong together; int (texts,).

    Args:
        texts: The texts.
        links: Two and two that do, whatever they say.
        pairs: Their near-duplicates, if they are known.
    """
    first, second, _ = pairs or near_pairs(texts)
    more = np.array(links, dtype=np.int64).reshape(-1, 2)
    return group(len(texts), np.append(first, more[:, 0]), np.append(second, more[:, 1]))


def deal(
    gold: NDArray[np.bool_], groups: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Deal rows out to parts by iterative stratification.

    Sechidis, Tsoumakas & Vlahavas 2011, *On the stratification of multi-label data*, algorithm 1,
    with groups of rows in place of single ones: the label with the fewest rows left goes first, and
    each of its groups, the largest first, to the part that lacks most rows of it. Where labels
    exclude each other this deals out one label after the other.

    Args:
        gold: Which labels a row has; bool (rows, labels).
        groups: Rows of one group come into one part; int (rows,).
        shares: Of each part; they needn't add up to 1.
        seed: The same one deals the same way.

    Returns:
        The part of each row, from 0; int (rows,).

    Examples:
        >>> gold = np.eye(2, dtype=bool)[[0, 0, 1, 1]]
        >>> parts = deal(gold, np.arange(4), [1, 1], seed=0)
        >>> parts[:2].sum(), parts[2:].sum()
        (np.int64(1), np.int64(1))
    """
    _, group_of = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group_of)
    has = np.zeros((len(sizes), gold.shape[1]))
    np.add.at(has, group_of, gold)
    hand = _Hand(has, sizes, np.asarray(shares, dtype=float), np.random.default_rng(seed))
    while (hand.left > 0).any():
        hand.deal_label(int(np.where(hand.left > 0, hand.left, np.inf).argmin()))
    hand.deal_rest()
    return hand.part_of[group_of]


class _Hand:
    """Groups that are being dealt out."""

    def __init__(
        self,
        has: NDArray[np.float64],
        sizes: NDArray[np.int64],
        shares: NDArray[np.float64],
        random: np.random.Generator,
    ) -> None:
        self.has, self.sizes, self.random = has, sizes, random
        self.order = np.lexsort((random.random(len(sizes)), -sizes))
        self.part_of = np.full(len(sizes), -1)
        self.left = has.sum(axis=0)  # rows of each label that aren't dealt out
        shares = shares / shares.sum()
        self.lacks = np.outer(shares, self.left)  # rows of each label that a part should still get
        self.room = shares * sizes.sum()

    def deal_label(self, label: int) -> None:
        """Deal out all groups with a label that are left."""
        those = self.order[(self.part_of[self.order] < 0) & (self.has[self.order, label] > 0)]
        for one in those:
            self._give(one, self.lacks[:, label])
        self.left[label] = 0

    def deal_rest(self) -> None:
        """Deal out the groups without a label."""
        for one in self.order[self.part_of[self.order] < 0]:
            self._give(one, self.room)

    def _give(self, one: int, lacks: NDArray[np.float64]) -> None:
        part = int(np.lexsort((self.random.random(len(lacks)), self.room, lacks))[-1])
        self.part_of[one] = part
        self.lacks[part] -= self.has[one]
        self.room[part] -= self.sizes[one]
        self.left -= self.has[one]
