"""A labelled corpus, as `convert` writes it, in memory."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards


@dataclass(frozen=True)
class Rows:
    """The rows of a corpus.

    Attributes:
        texts: The texts.
        labels: All labels, sorted.
        gold: Which labels a row has; bool (rows, labels).
        places: Source file and line of each row, None where the corpus doesn't tell.
        exclusive: Whether each row has exactly one label.
    """

    texts: list[str]
    labels: list[str]
    gold: NDArray[np.bool_]
    places: list[tuple[str, int] | None]
    exclusive: bool

    def names(self, row: NDArray[np.bool_]) -> str | list[str]:
        """The labels that are marked: one, or a list where labels don't exclude each other."""
        found = [self.labels[i] for i in np.flatnonzero(row)]
        return found[0] if self.exclusive else found


def read_rows(corpus: Path, folds: int) -> Rows:
    """Read a `.spacy` file or a folder of them.

    Raises:
        BertZhError: There is none, or nothing can be learnt from their labels in so many folds.
    """
    import spacy

    if not corpus.exists() or (corpus.is_dir() and not any(corpus.rglob("*.spacy"))):
        raw = corpus.is_dir() and any(corpus.rglob("*.jsonl"))
        why = "its texts have no labels: convert a labelled corpus" if raw else "see 'convert'"
        raise BertZhError(f"No .spacy file at {corpus}: {why}")
    texts, cats, places = [], [], list[tuple[str, int] | None]()
    for doc in read_shards(spacy.blank("zh"), corpus):
        texts.append(doc.text)
        cats.append(doc.cats)
        place = doc.user_data.get("file"), doc.user_data.get("line")
        places.append((str(place[0]), int(place[1])) if None not in place else None)  # type: ignore[arg-type]
    labels = sorted({label for one in cats for label in one})
    gold = np.array([[one.get(label, 0) > 0 for label in labels] for one in cats], dtype=bool)
    _check(corpus, gold.reshape(len(texts), -1), folds)
    return Rows(texts, labels, gold, places, bool((gold.sum(axis=1) == 1).all()))


def read_texts(corpus: Path) -> Collection[str]:
    """The texts of a corpus, labelled or not."""
    import spacy

    texts = [doc.text for doc in read_shards(spacy.blank("zh"), corpus)] if corpus.exists() else []
    if not texts:
        raise BertZhError(f"--dev {corpus} holds no text in .spacy files: see 'convert'")
    return texts


def _check(corpus: Path, gold: NDArray[np.bool_], folds: int) -> None:
    rows = gold.sum(axis=0)
    if not gold.any():
        raise BertZhError(f"No row of {corpus} has a label: convert a labelled corpus")
    if (rows > 0).sum() < 2:
        raise BertZhError(f"All rows of {corpus} have the same label: add rows of another")
    if rows.max() < folds:
        raise BertZhError(
            f"No label of {corpus} has as many rows as there are folds: the commonest has "
            f"{rows.max()}, --folds is {folds}; take fewer folds, or merge labels"
        )
