"""How large, how fast and how right a rung is, beside the pipeline as it was given."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from spacy.language import Language

from spacy_bert_zh.compress.ladder import Rung
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import (
    Predictions,
    answer_columns,
    count_pairs,
    interval,
    most_lost,
    predict,
    read_shards,
    resample,
)
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.textcat.cascade import NETWORK

TIMED, TURNS = 1_000, 3


@dataclass(frozen=True)
class Point:
    """What a rung is worth on texts that it wasn't fitted to.

    Attributes:
        name: Of the rung.
        megabytes: See `Budget`.
        texts_a_second: Of `nlp.pipe`, by the processor's time.
        times: Those, in the texts a second of the given pipeline; medians of turns.
        accuracy: Share of texts with exactly the right labels.
        low: Where its interval of 95 % begins.
        high: Where it ends.
        agreement: Share of texts with the labels that the given pipeline gives.
        lost: How much accuracy is lost at most, with 95 % confidence; see `most_lost`.
        reach_network: Share of texts that reach the network; None without a cascade.
    """

    name: str
    megabytes: float
    texts_a_second: float
    times: float
    accuracy: float
    low: float
    high: float
    agreement: float
    lost: float
    reach_network: float | None


class Measure:
    """Measures rungs.

    Args:
        given: Folder of the pipeline as it was given.
        texts: Corpus to measure on.
        component: Name of the text classifier.
        loss: Accuracy that may be lost.

    Raises:
        BertZhError: The corpus is too small to show of anything that no more is lost.
    """

    def __init__(self, given: Path, texts: Path, component: str, loss: float) -> None:
        self._nlp, self._component, self._corpus = load_pipeline(given), component, texts
        self.before = predict(self._nlp, find_textcat(self._nlp, component), texts)
        self.texts = len(self.before.excerpts)
        if most_lost(0, 0, self.texts) > loss:
            raise BertZhError(
                f"{self.texts:,} texts, half of --dev, are too few to show that no more than "
                f"--loss {loss:g} is lost: give {2 * fewest(loss):,} or more, or allow more"
            )
        self._some = [doc.text for doc in islice(read_shards(self._nlp, texts), TIMED)]

    def __call__(self, rung: Rung, folder: Path) -> Point:
        """Measure a rung."""
        nlp = load_pipeline(folder)
        pipe: Any = find_textcat(nlp, self._component)
        found = predict(nlp, pipe, self._corpus)
        right = [(one.predicted == one.gold).all(axis=1) for one in (self.before, found)]
        low, high = interval(resample(answer_columns(found)[:, :1])[:, 0] / self.texts)
        own, given = take_turns([nlp, self._nlp], self._some)
        return Point(
            name=rung.name,
            megabytes=packed_size(folder) / 1e6,
            texts_a_second=len(self._some) / statistics.median(own),
            times=statistics.median(b / a for a, b in zip(own, given, strict=True)),
            accuracy=float(right[1].mean()),
            low=low,
            high=high,
            agreement=_agreement(self.before, found),
            lost=most_lost(*count_pairs(*right), self.texts),
            reach_network=self._reach(nlp, pipe),
        )

    def _reach(self, nlp: Language, pipe: Any) -> float | None:
        if not pipe.cfg.get("cascade"):
            return None
        said = [doc._.bert_textcat[pipe.name]["answered_by"] for doc in nlp.pipe(self._some)]
        return said.count(NETWORK) / len(said)


def fewest(loss: float) -> int:
    """Texts of which none may be lost to show that no more than `loss` is."""
    low, high = 1, 2
    while most_lost(0, 0, high) > loss:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if most_lost(0, 0, middle) > loss else (low, middle)
    return high


def take_turns(pipelines: Sequence[Language], texts: list[str]) -> list[list[float]]:
    """Seconds of the processor that pipelines take for texts, turn by turn."""
    seconds: list[list[float]] = [[] for _ in pipelines]
    for _ in range(TURNS):
        for own, nlp in zip(seconds, pipelines, strict=True):
            start = time.process_time()
            for _ in nlp.pipe(texts):
                pass
            own.append(time.process_time() - start)
    return seconds


def packed_size(folder: Path) -> int:
    """Bytes of a folder as a wheel holds it."""
    with TemporaryFile() as file:
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        return file.tell()


def _agreement(before: Predictions, after: Predictions) -> float:
    return float((before.predicted == after.predicted).all(axis=1).mean())
