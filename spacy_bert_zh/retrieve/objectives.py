"""What ``bert_retriever`` learns from: pairs, graded pairs, or labels."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from spacy.training import Example
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.retrieve.contrast import cosent, infonce, supcon
from spacy_bert_zh.retrieve.measures import first_places

PAIR = "pair"
"""Where in a reference's ``user_data`` the text stands that belongs to its own."""
GRADE = "grade"
"""And how alike both are."""

Embed = Callable[[list[str]], Any]
_ROWS = 1024


class Objective(Protocol):
    """One way to learn; all are named in `OBJECTIVES`."""

    def further(self, examples: Sequence[Example]) -> list[str]:
        """The texts whose vectors are needed besides those of the examples.

        Raises:
            BertZhError: An example lacks what is learnt from.
        """

    def loss(
        self, vectors: Floats2d, examples: Sequence[Example], temperature: float, xp: Any
    ) -> tuple[float, Floats2d]:
        """The loss, and its gradient by the vectors: of the examples, then of `further`."""

    def score(self, vectors: Any, examples: Sequence[Example], embed: Embed) -> dict[str, float]:
        """How well vectors of examples fit; ``pairs_score`` is the one that counts."""


class InfoNCE:
    """Pairs that belong together; see `infonce`."""

    def further(self, examples: Sequence[Example]) -> list[str]:
        """The pairs."""
        return [_of(example, PAIR, str) for example in examples]

    def loss(
        self, vectors: Floats2d, examples: Sequence[Example], temperature: float, xp: Any
    ) -> tuple[float, Floats2d]:
        """See `infonce`."""
        return infonce(vectors, _texts(examples), self.further(examples), temperature, xp)

    def score(self, vectors: Any, examples: Sequence[Example], embed: Embed) -> dict[str, float]:
        """How often each text's own is the nearest of all, and the mean of 1 / its place."""
        pairs = self.further(examples)
        known = {text: place for place, text in enumerate(dict.fromkeys(pairs))}
        own = np.asarray([known[text] for text in pairs])
        return _of_places(first_places(vectors @ embed(list(known)).T, own))


class SupCon:
    """Texts with labels; see `supcon`."""

    def further(self, examples: Sequence[Example]) -> list[str]:
        """None."""
        self._labels(examples)
        return []

    def loss(
        self, vectors: Floats2d, examples: Sequence[Example], temperature: float, xp: Any
    ) -> tuple[float, Floats2d]:
        """See `supcon`."""
        gold = self._labels(examples)
        return supcon(vectors, _texts(examples), gold @ gold.T > 0, temperature, xp)

    def score(self, vectors: Any, examples: Sequence[Example], embed: Embed) -> dict[str, float]:
        """How often the nearest other text shares a label, and the mean of 1 / that one's place."""
        gold, places = self._labels(examples), []
        for start in range(0, len(vectors), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(vectors)))
            near = vectors[rows] @ vectors.T
            near[np.arange(len(rows)), rows] = -np.inf
            shared = np.where(gold[rows] @ gold.T > 0, near, -np.inf).max(axis=1, keepdims=True)
            # A label's only text has no other to be near to.
            places.append(np.where(shared[:, 0] > -np.inf, 1 + (near > shared).sum(axis=1), np.inf))
        return _of_places(np.concatenate(places))

    def _labels(self, examples: Sequence[Example]) -> Any:
        """1 where a text has a label; float (texts, labels)."""
        cats = [example.reference.cats for example in examples]
        names = sorted({label for one in cats for label in one})
        gold = np.asarray([[one.get(name, 0.0) > 0.5 for name in names] for one in cats], float)
        if not names or not gold.any(axis=1).all():
            text = next(e.reference.text for e in examples if not max(e.y.cats.values(), default=0))
            raise BertZhError(
                f"'{text[:40]}' has no label to learn from, as loss = \"supcon\" does: set "
                "paths.train and paths.dev to a converted corpus"
            )
        return gold


class CoSENT:
    """Pairs with how alike they are; see `cosent`."""

    def further(self, examples: Sequence[Example]) -> list[str]:
        """The pairs."""
        self._grades(examples)
        return [_of(example, PAIR, str) for example in examples]

    def loss(
        self, vectors: Floats2d, examples: Sequence[Example], temperature: float, xp: Any
    ) -> tuple[float, Floats2d]:
        """See `cosent`."""
        return cosent(vectors, self._grades(examples), temperature, xp)

    def score(self, vectors: Any, examples: Sequence[Example], embed: Embed) -> dict[str, float]:
        """Spearman's correlation of cosines and grades."""
        from scipy.stats import spearmanr

        cosines = (vectors * embed(self.further(examples))).sum(axis=1)
        found = float(spearmanr(cosines, self._grades(examples)).statistic)
        found = found if np.isfinite(found) else 0.0  # all the same
        return {"pairs_score": found, "pairs_spearman": found}

    def _grades(self, examples: Sequence[Example]) -> list[float]:
        return [_of(example, GRADE, float) for example in examples]


OBJECTIVES: dict[str, Objective] = {"infonce": InfoNCE(), "supcon": SupCon(), "cosent": CoSENT()}
"""By what `loss` in the config says."""


def _texts(examples: Sequence[Example]) -> list[str]:
    return [example.predicted.text for example in examples]


def _of(example: Example, key: str, kind: type) -> Any:
    value = example.reference.user_data.get(key)
    if not isinstance(value, kind):
        raise BertZhError(
            f"'{example.reference.text[:40]}' has no {key} to learn from: read a table with "
            f"spacy_bert_zh.pairs.v1 that has a column {key}, as configs/pairs.cfg does; loss = "
            '"supcon" learns from labels instead'
        )
    return value


def _of_places(places: Any) -> dict[str, float]:
    top = float((places == 1).mean())
    return {"pairs_score": top, "pairs_top1": top, "pairs_mrr": float((1 / places).mean())}
