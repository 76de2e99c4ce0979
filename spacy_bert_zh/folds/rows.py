"""A labelled corpus, as `convert` writes it: its rows in memory, and parts of it on disk."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards

if TYPE_CHECKING:
    from spacy.tokens import DocBin

OUT = -1
"""The part of rows that are in none."""
MOST_NAMED = 5
"""Labels that a message names."""


@dataclass(frozen=True)
class Rows:
    """The rows of a corpus.

    Attributes:
        texts: The texts.
        labels: All labels, sorted.
        gold: Which labels a row has; bool (rows, labels).
        places: Source file and line of each row, None where the corpus doesn't tell.
        exclusive: Whether each row has exactly one label.
        links: Rows that `convert` has changed, each with another form of the same text.
    """

    texts: list[str]
    labels: list[str]
    gold: NDArray[np.bool_]
    places: list[tuple[str, int] | None]
    exclusive: bool
    links: list[tuple[int, int]] = field(default_factory=list)

    def names(self, row: NDArray[np.bool_]) -> str | list[str]:
        """The labels that are marked: one, or a list where labels don't exclude each other."""
        found = [self.labels[i] for i in np.flatnonzero(row)]
        return found[0] if self.exclusive else found

    def named(self, marked: NDArray[np.bool_]) -> str:
        """Labels with their rows, the rarest first, for a message; empty if none is marked."""
        rows = self.gold.sum(axis=0)
        few = [i for i in np.argsort(rows, kind="stable") if marked[i]]
        shown = ", ".join(f"'{self.labels[i]}' ({rows[i]})" for i in few[:MOST_NAMED])
        return shown + f" and {len(few) - MOST_NAMED} more" * (len(few) > MOST_NAMED)

    def digest(self) -> str:
        """What tells these texts and labels from others."""
        made = hashlib.blake2b(digest_size=16)
        for part in (*self.texts, *self.labels):
            made.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
        made.update(self.gold.tobytes())
        return made.hexdigest()


def read_rows(corpus: Path, folds: int = 1) -> Rows:
    """Read a `.spacy` file or a folder of them.

    Args:
        corpus: Of labelled texts.
        folds: Parts that some label at least should have a row for.

    Raises:
        BertZhError: There is none, or nothing can be learnt from their labels in so many folds.
    """
    import spacy

    if not corpus.exists() or (corpus.is_dir() and not any(corpus.rglob("*.spacy"))):
        raw = corpus.is_dir() and any(corpus.rglob("*.jsonl"))
        why = "its texts have no labels: convert a labelled corpus" if raw else "see 'convert'"
        raise BertZhError(f"No .spacy file at {corpus}: {why}")
    texts, cats, places, changed = [], [], list[tuple[str, int] | None](), set[int]()
    for doc in read_shards(spacy.blank("zh"), corpus):
        texts.append(doc.text)
        cats.append(doc.cats)
        if "changed" in doc.user_data:
            changed.add(len(places))
        place = doc.user_data.get("file"), doc.user_data.get("line")
        places.append((str(place[0]), int(place[1])) if None not in place else None)  # type: ignore[arg-type]
    labels = sorted({label for one in cats for label in one})
    gold = np.array([[one.get(label, 0) > 0 for label in labels] for one in cats], dtype=bool)
    _check(corpus, gold.reshape(len(texts), -1), folds)
    exclusive = bool((gold.sum(axis=1) == 1).all())
    return Rows(texts, labels, gold, places, exclusive, _link(places, changed))


def _link(places: Sequence[object], changed: set[int]) -> list[tuple[int, int]]:
    """Link each changed row with the first one from its place, or with the first changed one."""
    first: dict[object, int] = {}
    for row in sorted(range(len(places)), key=changed.__contains__):
        first.setdefault(places[row], row)
    return [(first[places[row]], row) for row in sorted(changed) if places[row] is not None]


def write_parts(corpus: Path, part_of: NDArray[np.int64], folders: Sequence[Path]) -> None:
    """Write parts of a corpus, each in the order of its rows, with all that its rows have.

    Args:
        corpus: A ``.spacy`` file, or a folder of them.
        part_of: The part of each row; -1 for those that stay out; int (rows,).
        folders: Of each part, to be made.
    """
    from spacy.tokens import DocBin
    from spacy.training.corpus import FILE_TYPE, walk_corpus

    for folder in folders:
        folder.mkdir(parents=True)
    start = 0
    for number, path in enumerate(walk_corpus(corpus, FILE_TYPE)):
        shard = DocBin(store_user_data=True).from_disk(path)
        full = np.array([len(tokens) > 0 for tokens in shard.tokens], dtype=bool)
        parts = np.full(len(shard), OUT)  # as those are that no reader yields
        parts[full] = part_of[start : start + full.sum()]
        start += full.sum()
        for part, folder in enumerate(folders):
            _cut(shard, parts == part).to_disk(folder / f"{number:05}{FILE_TYPE}")


def _cut(shard: "DocBin", chosen: NDArray[np.bool_]) -> "DocBin":
    """A shard of some documents: without making them, which takes far longer."""
    from spacy.tokens import DocBin

    cut = DocBin(store_user_data=True)
    cut.attrs, cut.strings = shard.attrs, shard.strings
    for name in ("tokens", "spaces", "cats", "flags", "span_groups", "user_data"):
        kept = zip(getattr(shard, name), chosen, strict=True)
        setattr(cut, name, [value for value, keep in kept if keep])
    return cut


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
