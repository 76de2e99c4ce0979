"""What is to be labelled, and with what: the texts of a pool, and the labels."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.label.options import Options
from spacy_bert_zh.loading import is_exclusive, textcats
from spacy_bert_zh.reading import STDIN
from spacy_bert_zh.reading.texts import read_clean
from spacy_bert_zh.untrusted import read_text, shorten_text

TWICE = "repeated, taken once"


@dataclass(frozen=True)
class Item:
    """A text of the pool, and where it stands there."""

    text: str
    file: str
    line: int


@dataclass(frozen=True)
class Labels:
    """What may be answered.

    Attributes:
        names: In the order in which they are shown.
        exclusive: Whether a text has exactly one.
    """

    names: tuple[str, ...]
    exclusive: bool

    def fault(self, given: tuple[str, ...]) -> str | None:
        """What is wrong with an answer, if something is."""
        if unknown := [name for name in given if name not in self.names]:
            known = shorten_text(", ".join(self.names), 200)
            return f"there is no label {shorten_text(unknown[0])!r}, but {known}"
        if self.exclusive and len(given) != 1:
            return f"a text has one label here, not {len(given)}"
        return None


def read_pool(path: Path, options: Options) -> tuple[list[Item], dict[str, int]]:
    """The texts of a pool in their order, each once, and the rows by what became of them.

    Raises:
        BertZhError: There is no text, or the pool can't be read.
    """
    if path == STDIN:
        raise BertZhError("label goes on where it stopped: give a file or folder as the pool")
    counts: Counter[str] = Counter()
    items: dict[str, Item] = {}
    for text, file, line in read_clean(path, options, counts):
        if text in items:
            counts[TWICE] += 1
        items.setdefault(text, Item(text, file, line))
    if not items:
        said = ", ".join(f"{n:,} {why}" for why, n in counts.items()) or "it is empty"
        raise BertZhError(f"{path} has no text to label ({said})")
    return list(items.values()), dict(counts)


def find_labels(options: Options, nlp: Language | None) -> Labels:
    """The labels that are given, or else those of the pipeline.

    Raises:
        BertZhError: There are fewer than it takes.
    """
    pipes = textcats(nlp) if nlp else []
    own = dict.fromkeys(label for pipe in pipes for label in pipe.labels)
    names = tuple(dict.fromkeys(_given(options.labels) or own))
    several = len(pipes) > 1 or any(not is_exclusive(pipe) for pipe in pipes)
    exclusive = not (options.multilabel or several)
    if not names:
        raise BertZhError("No labels: give --labels 体育,财经 or a file of them, or a --pipeline")
    if exclusive and len(names) == 1:
        raise BertZhError(
            f"'{names[0]}' is the only label, so there is nothing to decide: give another one, "
            "or --multilabel"
        )
    return Labels(names, exclusive)


def _given(labels: str) -> list[str]:
    path = Path(labels)
    if not labels or not path.is_file():
        parts = labels.replace("，", ",").split(",")
    elif path.suffix == ".json":
        parts = _names(read_text(path), path)
    else:
        parts = read_text(path).split("\n")
    return [part.strip() for part in parts if part.strip()]


def _names(text: str, path: Path) -> list[str]:
    try:
        names: Any = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BertZhError(f"{path} is no list of labels: give one as convert writes it")
    return names
