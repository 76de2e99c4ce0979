"""What teachers say of texts: asked once, kept as shards of documents."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.corpus import FILE_TYPE
from spacy.util import minibatch
from tqdm import tqdm
from wasabi import msg

from spacy_bert_zh.distill.objective import GOLD, soften
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.files import remove, whole
from spacy_bert_zh.loading import (
    Answer,
    answer_all,
    find_textcat,
    is_exclusive,
    load_pipeline,
    textcats,
    warm_up,
)
from spacy_bert_zh.reading import STDIN, Options, get_format
from spacy_bert_zh.reading.texts import read_clean

SCORES, RUN = "scores", "run"
"""The folder for what teachers say, and the file in it that tells which run it is of."""
SHARD = 5_000
"""Texts of a shard."""


class Text(NamedTuple):
    """A text to ask about, with its gold cats if it has any."""

    text: str
    gold: dict[str, float] | None


@dataclass(frozen=True)
class Teachers:
    """Pipelines that are asked together: their scores are averaged.

    Attributes:
        pipelines: Each with one text classifier.
        labels: Of all of them, in the order of the first.
        exclusive: Whether the labels exclude each other.
        sharpness: What the logits of the mean are multiplied by.
    """

    pipelines: list[Language]
    labels: list[str]
    exclusive: bool
    sharpness: float = 1.0

    def ask(self, texts: Sequence[str]) -> list[dict[str, float] | None]:
        """The mean of the scores of each text, by label; None where a teacher has no answer."""
        answers = [answer_all(nlp, texts) for nlp in self.pipelines]
        return [self._mean(said) for said in zip(*answers, strict=True)]

    def _mean(self, said: Sequence[Answer | None]) -> dict[str, float] | None:
        rows = [answer.scores for answer in said if answer is not None]
        mean = {label: sum(row[label] for row in rows) / len(said) for label in self.labels}
        if len(rows) < len(said) or not all(map(math.isfinite, mean.values())):
            return None
        if self.sharpness == 1.0:
            return mean
        sharp = soften(np.array([[*mean.values()]]), 1.0 / self.sharpness, self.exclusive)
        return dict(zip(self.labels, sharp[0].tolist(), strict=True))


def load_teachers(names: Sequence[str], component: str | None) -> Teachers:
    """Load teachers, which must have the same labels.

    Args:
        names: Folders of trained pipelines, or names of installed ones.
        component: Of several text classifiers the one to ask.

    Raises:
        BertZhError: One has no text classifier, or other labels than the first.
    """
    pipelines = [_load(name, component) for name in names]
    first, *others = [find_textcat(nlp, None) for nlp in pipelines]
    for name, other in zip(names[1:], others, strict=True):
        differing = set(first.labels) ^ set(other.labels)
        if differing:
            raise BertZhError(
                f"The teachers {names[0]} and {name} have different labels: only one has "
                f"{min(differing)!r}; their scores can't be averaged"
            )
        if is_exclusive(first) != is_exclusive(other):
            raise BertZhError(
                f"The teachers {names[0]} and {name}: the labels of one exclude each other, "
                "those of the other don't; their scores can't be averaged"
            )
    return Teachers(pipelines, list(first.labels), is_exclusive(first))


def _load(name: str, component: str | None) -> Language:
    nlp = load_pipeline(name)
    try:
        pipe = find_textcat(nlp, component)
    except BertZhError as error:
        raise BertZhError(f"The teacher {name}: {error}") from error
    for other in textcats(nlp):
        if other is not pipe:
            nlp.remove_pipe(other.name)
    warm_up(nlp)
    return nlp


def read_corpus(corpus: Path, teachers: Teachers) -> Iterator[Text]:
    """The texts of a corpus with their gold cats.

    Raises:
        BertZhError: There is none, or one has a label that the teachers don't.
    """
    found = False
    for doc in read_shards(spacy.blank("zh"), corpus):
        given = {label for label, value in doc.cats.items() if value > 0}
        if unknown := given - set(teachers.labels):
            raise BertZhError(
                f"{corpus} has a label that the teachers don't: {min(unknown)!r}, at "
                f"'{doc.text[:40]}'; they can't teach it"
            )
        # None of several exclusive labels is no label, but none of others is an answer.
        is_gold = bool(given) if teachers.exclusive else bool(doc.cats)
        found = True
        yield Text(doc.text, dict(doc.cats) if is_gold else None)
    if not found:
        raise BertZhError(f"{corpus} holds no text: make a corpus with 'convert'")


def read_unlabelled(source: Path, options: Options, *known: Path) -> Iterator[Text]:
    """Texts without labels, but for those of corpora, such as dev, that would tell nothing then.

    Raises:
        BertZhError: There is no file of the format.
    """
    files = list(get_format(options.format).files(source))
    if source == STDIN:
        raise BertZhError("--unlabelled -: what was read can't be read again: name a file")
    if not files:
        raise BertZhError(f"No file of the format {options.format} in {source}")
    return _read_others(source, options, known)


def _read_others(source: Path, options: Options, known: Sequence[Path]) -> Iterator[Text]:
    nlp, counts, same = spacy.blank("zh"), Counter[str](), 0
    held_out = {doc.text for corpus in known for doc in read_shards(nlp, corpus)}
    for text, _, _ in read_clean(source, options, counts):
        if text in held_out:
            same += 1
        else:
            yield Text(text, None)
    left = sum(count for what, count in counts.items() if what.startswith("rejected"))
    if left or same:
        msg.info(
            f"{source}: {left:,} rows without a usable text and {same:,} texts of "
            f"{', '.join(map(str, known))} left out"
        )


def keep_scores(teachers: Teachers, texts: Iterable[Text], folder: Path) -> int:
    """Write what teachers say of texts, but for shards that are there already.

    Documents have the teachers' scores as their cats, so that any training can read them as soft
    labels, and their gold cats in ``user_data``.

    Args:
        teachers: Who is asked.
        texts: The same, in the same order, each time.
        folder: For the shards.

    Returns:
        The number of texts.

    Raises:
        BertZhError: The teachers have no answer to any text of a shard.
    """
    nlp, count = spacy.blank("zh"), 0
    with tqdm(desc="asking the teachers", unit=" texts", disable=None) as bar:
        for number, chunk in enumerate(minibatch(texts, SHARD)):
            path = folder / f"{number:05}{FILE_TYPE}"
            if not path.exists():
                docs = list(_annotate(nlp, teachers, chunk))
                if not docs:
                    raise BertZhError(f"The teachers fail on all texts, such as '{chunk[0].text}'")
                with whole(path) as part:
                    DocBin(docs=docs, store_user_data=True).to_disk(part)
            count += len(chunk)
            bar.update(len(chunk))
    return count


def _annotate(nlp: Language, teachers: Teachers, texts: Sequence[Text]) -> Iterator[Doc]:
    scores = teachers.ask([text.text for text in texts])
    for text, said in zip(texts, scores, strict=True):
        if said is None:
            msg.warn(f"The teachers fail on '{text.text[:40]}', which is left out")
            continue
        doc = nlp.make_doc(text.text)
        doc.cats = said
        if text.gold is not None:
            doc.user_data[GOLD] = text.gold
        yield doc


@contextmanager
def stating(shards: Path, run: str) -> Iterator[bool]:
    """Have a folder hold scores of this run alone; yields whether it did before."""
    stated = shards / RUN
    same = stated.exists() and stated.read_text("utf-8") == run
    if not same:
        for path in shards.glob(f"*{FILE_TYPE}"):
            remove(path)
        with whole(stated) as path:
            path.write_text(run, "utf-8")
    try:
        yield same
    finally:
        if not any(shards.glob(f"*{FILE_TYPE}")):
            remove(stated)
