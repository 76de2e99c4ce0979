"""Texts into an index and out of it."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import find_vectors, read_shards
from spacy_bert_zh.loading import check_index, find_textcat, is_exclusive
from spacy_bert_zh.reading import Options, Reject, Row, Source, get_format
from spacy_bert_zh.textcat import BertTextCat, Entry, Mixing, Neighbours, draw
from spacy_bert_zh.textcat.neighbours import MOST
from spacy_bert_zh.textcat.space import find_whitening
from spacy_bert_zh.trust.fit import own
from spacy_bert_zh.untrusted import read_text, shorten_text


def read_entries(nlp: Language, path: Path, most: int = 0) -> list[Entry]:
    """Labelled texts of a converted corpus or of JSON lines.

    Args:
        nlp: Whose vocabulary shards are read with.
        path: A ``.spacy`` file, a folder of them, or a ``.jsonl`` file.
        most: So many of them at most, drawn by chance; 0 takes all.

    Raises:
        BertZhError: There are none, a row can't be used, or they are more than an index holds.
    """
    found = _rows(path) if path.suffix == ".jsonl" else map(_entry, read_shards(nlp, path))
    entries = draw(found, most or MOST + 1)
    if not entries:
        raise BertZhError(f"{path} holds no text: give a converted corpus or JSON lines")
    if len(entries) > MOST:
        raise BertZhError(
            f"{path} holds more than the {MOST:,} texts of an index: take some with --most"
        )
    return entries


def _entry(doc: Doc) -> Entry:
    labels = [label for label, value in doc.cats.items() if value > 0.5]
    file, line = doc.user_data.get("file"), doc.user_data.get("line")
    # Its name alone: no path of this machine goes into a pipeline.
    name = re.split(r"[/\\]", str(file))[-1]
    return Entry(text=doc.text, labels=labels, source=f"{name}:{line}" if file else "")


def _rows(path: Path) -> Iterator[Entry]:
    options = Options(format="jsonl")
    source = Source(path, path, options.encoding, lambda count: None)
    for row in get_format("jsonl").read(source, options):
        if isinstance(row, Reject):
            raise BertZhError(f"{path}, line {row.line}: {row.reason} {row.detail}".rstrip())
        assert isinstance(row, Row)
        labels = list(row.labels or ())
        yield Entry(text=row.text, labels=labels, source=f"{path.name}:{row.line}")


def read_texts(path: Path) -> list[str]:
    """Texts to forget, one a line, or of JSON lines with "text".

    Raises:
        BertZhError: There are none, or a line is no such object.
    """
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    if not lines:
        raise BertZhError(f"{path} holds no text to forget")
    if path.suffix != ".jsonl":
        return lines
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(str(json.loads(line)["text"]))
        except (ValueError, KeyError, TypeError):
            raise BertZhError(f'{path}, line {number}: expected an object with "text"') from None
    return texts


def add(nlp: Language, pipe: BertTextCat, entries: Sequence[Entry]) -> int:
    """Take labelled texts into a component's index, with labels that it doesn't have yet.

    Args:
        nlp: The pipeline.
        pipe: Its text classifier, changed in place.
        entries: The texts.

    Returns:
        How many were taken; a text with the same labels is taken once.

    Raises:
        BertZhError: A text has labels as it can't have, the index is of another encoder, or would
            hold too many.
    """
    for entry in entries:
        if is_exclusive(pipe) and len(entry.labels) != 1:
            raise BertZhError(
                f"{entry.source or 'A text'} has {len(entry.labels)} labels "
                f"({shorten_text(entry.text, 40)!r}), and those of '{pipe.name}' exclude each other"
            )
    known = pipe.neighbours
    if known is not None:
        check_index(nlp, pipe)
    entries = _not_there(entries, known)
    if not entries:
        return 0
    vectors = find_vectors(nlp, pipe, [entry.text for entry in entries])
    learnt = list(pipe.labels) if known is None else known.mixing.learnt
    if known is None:
        known = _begin(vectors, entries, learnt)
    pipe.neighbours = None  # a label more isn't what makes an index void
    for label in sorted({label for entry in entries for label in entry.labels} - {*pipe.labels}):
        pipe.add_label(label)
    pipe.neighbours = _telling(known.extended(entries, vectors))
    return len(entries)


def add_examples(
    nlp: Language,
    texts: Sequence[str],
    labels: Sequence[str | Sequence[str]],
    component: str | None = None,
) -> int:
    """Let a loaded pipeline know labelled texts by heart, as `index` does one in a folder.

    Args:
        nlp: The pipeline, changed in place; save it with ``nlp.to_disk``.
        texts: The texts.
        labels: The label of each, or several; others than the pipeline has are added.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        How many texts were taken; one with the same labels is taken once.

    Raises:
        BertZhError: As `index` does, or there are not as many labels as texts.

    Examples:
        >>> import spacy
        >>> nlp = spacy.load("training/model-best")
        >>> add_examples(nlp, ["配送太慢", "味道不错"], ["neg", "pos"])
        2
    """
    if len(texts) != len(labels):
        raise BertZhError(f"{len(texts):,} texts with {len(labels):,} labels: give one to each")
    several = ([one] if isinstance(one, str) else list(one) for one in labels)
    pairs = zip(texts, several, strict=True)
    entries = [Entry(text=text, labels=given) for text, given in pairs]
    return add(nlp, own(find_textcat(nlp, component)), entries)


def forget_examples(nlp: Language, texts: Sequence[str], component: str | None = None) -> None:
    """Take texts out of the index of a loaded pipeline, see `add_examples`.

    Raises:
        BertZhError: It has no index, or doesn't hold one of them; it then stays as it is.
    """
    forget(own(find_textcat(nlp, component)), texts)


def _not_there(entries: Sequence[Entry], known: Neighbours | None) -> list[Entry]:
    """Each text once with the same labels: more of it would have more votes."""
    there = {(one.text, frozenset(one.labels)) for one in (known.entries if known else ())}
    keys = {(one.text, frozenset(one.labels)): one for one in reversed(entries)}
    return [one for key, one in reversed(keys.items()) if key not in there]


def _telling(index: Neighbours) -> Neighbours:
    if not index.can_tell:
        raise BertZhError(
            f"Nothing to compare the texts of {', '.join(sorted(index.new_labels))} with: a label "
            "that was never learnt needs texts of the others in the index, so --add corpus/train "
            "before"
        )
    return index


def forget(pipe: BertTextCat, texts: Sequence[str]) -> None:
    """Take texts out of a component's index.

    Raises:
        BertZhError: There is no index, or it doesn't hold one of them.
    """
    if pipe.neighbours is None:
        raise BertZhError(f"'{pipe.name}' has no index of which something could be forgotten")
    pipe.neighbours = _telling(pipe.neighbours.without(texts))


def check_gone(folder: Path, texts: Sequence[str]) -> None:
    """Look through all files of a pipeline but its vocabulary of words for texts.

    Raises:
        BertZhError: One is still there.
    """
    wanted = {form.encode("utf-8", "surrogatepass") for text in texts for form in _forms(text)}
    for path in sorted(folder.rglob("*")) if wanted else ():
        if path.is_file() and "vocab" not in path.relative_to(folder).parts[:1]:
            data = path.read_bytes()
            if any(form in data for form in wanted):
                raise BertZhError(f"{path.relative_to(folder)} still holds a forgotten text")


def _forms(text: str) -> tuple[str, str]:
    """As an entry's value in JSON, with its quotes, so that no other text merely contains it."""
    return json.dumps(text, ensure_ascii=False), json.dumps(text)


def _begin(vectors: Any, entries: Sequence[Entry], learnt: Sequence[str]) -> Neighbours:
    """An index without texts, which knows how vectors of one label vary."""
    names = sorted({label for entry in entries for label in entry.labels})
    gold = np.asarray([[name in entry.labels for name in names] for entry in entries])
    whiten = np.eye(vectors.shape[1], dtype=np.float32)
    if gold.any() and len(entries) > 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = find_whitening(vectors, gold)
        # A text for each label tells nothing of how those of one label vary.
        whiten = found if np.isfinite(found).all() else whiten
    none = np.zeros((0, vectors.shape[1]), dtype=np.float16)
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Neighbours(mean, whiten, none, Mixing(learnt=list(learnt)), [])
