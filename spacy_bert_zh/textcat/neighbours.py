"""What a component knows by heart: labelled texts, whose nearest ones have a say in an answer.

Nearest neighbours beside a network's own scores are those of Khandelwal et al. 2020 (kNN-LM, arXiv
1911.00172, eq. 3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Self, cast

import numpy as np
from pydantic import Field, StringConstraints

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.claims import Claims, find_claims
from spacy_bert_zh.textcat.space import Found, Space, Vectors
from spacy_bert_zh.untrusted import Closed, shorten

NEIGHBOURS = "neighbours"
"""The name in ``cfg`` and in ``doc._.bert_textcat``, and of the folder."""
SHOWN = 3
"""Neighbours that ``doc._.bert_textcat`` names."""
NEAREST = 32
"""Texts that have a say."""
MOST = 100_000
"""Texts of an index: each answer compares with all of them."""

Label = Annotated[str, StringConstraints(min_length=1)]


class Mixing(Closed):
    """How neighbours and the classifier answer together; stands in a component's ``cfg``.

    Attributes:
        share: Weight of the classifier's own scores; with 1 neighbours only give evidence.
        temperature: The cosine by which a neighbour's weight falls to 1/e.
        learnt: Labels that the classifier was trained on; others are told by their texts alone.
    """

    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.05
    learnt: list[Label]


class Entry(Closed):
    """A text of an index.

    Attributes:
        text: The text.
        labels: Those that it has.
        source: Where it comes from, such as ``train.csv:12``.
    """

    text: str
    labels: list[Label]
    source: str = ""


@dataclass(frozen=True)
class Near:
    """A neighbour of a text.

    Attributes:
        entry: The text of the index.
        similarity: Cosine of both vectors, whitened.
    """

    entry: Entry
    similarity: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**self.entry.model_dump(), "similarity": round(self.similarity, 4)}


@dataclass(frozen=True)
class Neighbours(Space):
    """Labelled texts by their vectors.

    Attributes:
        mixing: What weight they have.
        entries: The texts.
    """

    mixing: Mixing
    entries: list[Entry] = field(repr=False)

    @cached_property
    def has_say(self) -> bool:
        """Whether scores depend on these texts."""
        return self.mixing.share < 1.0 or bool(self.new_labels)

    @cached_property
    def new_labels(self) -> set[str]:
        """Labels of these texts that the classifier has never learnt."""
        found = {label for entry in self.entries for label in entry.labels}
        return found - set(self.mixing.learnt)

    @property
    def can_tell(self) -> bool:
        """Whether there is something that texts of new labels can be compared with."""
        return not self.new_labels or self._claims is not None

    def find(self, vectors: Any, count: int = NEAREST) -> Found:
        """The nearest texts, see `Space.find`."""
        return super().find(vectors, count)

    def near(self, found: Found, count: int) -> list[list[Near]]:
        """The texts themselves of what `find` found, so many for each."""
        pairs = zip(found[0][:, :count], found[1][:, :count], strict=True)
        return [
            [Near(self.entries[place], float(cosine)) for place, cosine in zip(*pair, strict=True)]
            for pair in pairs
        ]

    def votes(self, found: Found, labels: Sequence[str]) -> Vectors:
        """What the neighbours that `find` found say of each label; 0 to 1, (texts, labels)."""
        places, cosines = found
        weights = np.exp((cosines - cosines[:, :1]) / self.mixing.temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        return cast(Vectors, np.einsum("tn,tnl->tl", weights, self._gold(tuple(labels))[places]))

    def claims(self, vectors: Any, labels: Sequence[str]) -> Vectors | None:
        """How sure labels are that were never learnt, see `Claims`; None if there are none.

        Args:
            vectors: Of a backbone; shape (texts, width).
            labels: Those of the classifier.

        Returns:
            0 for labels that were learnt; shape (texts, labels).
        """
        return self._claims.of(self.project(vectors), labels) if self._claims else None

    def mix(
        self,
        scores: Any,
        votes: Vectors,
        claims: Vectors | None,
        labels: Sequence[str],
        exclusive: bool,
    ) -> Vectors:
        """Scores of a classifier with what the neighbours say.

        Args:
            scores: Of the classifier; shape (texts, labels).
            votes: Of the neighbours; the same shape.
            claims: Of labels that were never learnt, if there are any; the same shape.
            labels: Its labels.
            exclusive: Whether a text has exactly one of them.
        """
        own, share = np.asarray(scores, dtype=np.float32), self.mixing.share
        if claims is None:
            return cast(Vectors, share * own + (1.0 - share) * votes)
        new = ~np.isin(labels, self.mixing.learnt)
        if not exclusive:
            return cast(Vectors, np.where(new, claims, share * own + (1.0 - share) * votes))
        claims = claims / np.maximum(claims.sum(axis=1, keepdims=True), 1.0)
        own, votes = (np.where(new, 0.0, part) for part in (own, votes))
        own = own / np.maximum(own.sum(axis=1, keepdims=True), 1e-12)
        total = votes.sum(axis=1, keepdims=True)
        votes = np.where(total > 0, votes / np.maximum(total, 1e-12), own)
        left = 1.0 - claims.sum(axis=1, keepdims=True)
        return (left * (share * own + (1.0 - share) * votes) + claims).astype(np.float32)

    def extended(self, entries: Sequence[Entry], vectors: Any) -> Self:
        """With more texts.

        Raises:
            BertZhError: They would be too many.
        """
        if len(self) + len(entries) > MOST:
            raise BertZhError(
                f"An index holds {MOST:,} texts at most, and this one would have "
                f"{len(self) + len(entries):,}: take fewer"
            )
        added = self.project(vectors).astype(np.float16)
        return type(self)(
            self.mean,
            self.whiten,
            np.concatenate([self.vectors, added]),
            self.mixing,
            [*self.entries, *entries],
        )

    def without(self, texts: Iterable[str]) -> Self:
        """Without these texts, however often they are there.

        Raises:
            BertZhError: One isn't there.
        """
        gone = set(texts)
        if missing := gone - {entry.text for entry in self.entries}:
            raise BertZhError(
                f"The index doesn't hold {shorten(min(missing))}"
                + (f" and {len(missing) - 1:,} more texts" if len(missing) > 1 else "")
                + ": nothing to forget"
            )
        kept = [place for place, entry in enumerate(self.entries) if entry.text not in gone]
        entries = [self.entries[place] for place in kept]
        return type(self)(self.mean, self.whiten, self.vectors[kept], self.mixing, entries)

    @cached_property
    def _claims(self) -> Claims | None:
        if not self.new_labels:
            return None
        names = sorted({label for entry in self.entries for label in entry.labels})
        rows = self.vectors.astype(np.float32)
        return find_claims(rows, self._gold(tuple(names)), names, self.mixing.learnt)

    def _gold(self, labels: tuple[str, ...]) -> Vectors:
        """1 where a text has a label; shape (texts, labels)."""
        kept = self.__dict__.setdefault("_kept_gold", {})
        if labels not in kept:
            kept.clear()
            column = {label: number for number, label in enumerate(labels)}
            gold = np.zeros((len(self), len(labels)), dtype=np.float32)
            for row, entry in enumerate(self.entries):
                gold[row, [column[label] for label in entry.labels]] = 1.0
            kept[labels] = gold
        return cast(Vectors, kept[labels])
