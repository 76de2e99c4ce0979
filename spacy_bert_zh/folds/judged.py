"""What pipelines say of rows that they haven't learnt from, and the file of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import EXCERPT, Predictions
from spacy_bert_zh.files import whole
from spacy_bert_zh.folds.rows import Rows
from spacy_bert_zh.loading import Answer, answer_all, find_textcat, load_pipeline, use_gpu, warm_up
from spacy_bert_zh.untrusted import Closed, checked, parse_json, read_text, shorten_text

PREDICTIONS = "predictions.jsonl"
"""What a `crossval` leaves in its folder."""
MOST = 1 << 31
"""Bytes of a file of scores."""
_CHUNK = 1_000
_DIGITS = 7  # of a score: more than float32 has


@dataclass(frozen=True)
class Judged:
    """What was said of rows by pipelines that hadn't learnt from them.

    Attributes:
        rows: Which rows of the corpus, from 0, rising; int (n,).
        scores: From 0 to 1; float (n, labels).
        given: The labels that the pipeline gave; bool (n, labels).
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    given: NDArray[np.bool_]


class _Line(Closed):
    row: int
    text: str
    gold: list[str]
    given: list[str]
    scores: dict[str, float]


def judge(pipeline: Path, rows: Rows, chosen: NDArray[np.int64], gpu_id: int = -1) -> Judged:
    """Ask a pipeline about rows that it hasn't learnt from.

    Args:
        pipeline: Folder of a trained one.
        rows: A corpus.
        chosen: Which of its rows; int (n,).
        gpu_id: The GPU to predict on; -1 for the CPU.

    Raises:
        BertZhError: Its labels aren't the corpus's, or it fails on a text.
    """
    use_gpu(gpu_id)
    nlp = load_pipeline(pipeline)
    if differing := set(find_textcat(nlp, None).labels) ^ set(rows.labels):
        raise BertZhError(
            f"The pipeline and the corpus have different labels: only one has {min(differing)!r}; "
            "let the config take its labels from paths.labels, as ours do"
        )
    warm_up(nlp)
    answers = [
        answer
        for start in tqdm(range(0, len(chosen), _CHUNK), "judge", unit="k texts", disable=None)
        for answer in _ask(nlp, [rows.texts[i] for i in chosen[start : start + _CHUNK]])
    ]
    scores = [[answer.scores[label] for label in rows.labels] for answer in answers]
    given = [[label in answer.labels for label in rows.labels] for answer in answers]
    return Judged(chosen, np.array(scores), np.array(given))


def _ask(nlp: Language, texts: list[str]) -> Iterator[Answer]:
    for text, answer in zip(texts, answer_all(nlp, texts), strict=True):
        if answer is None:
            raise BertZhError(
                f"The pipeline fails on '{shorten_text(text, 50)}': leave it out of the corpus"
            )
        yield answer


def join(parts: Sequence[Judged]) -> Judged:
    """Several as one, by rising row."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows, kind="stable")
    scores = np.concatenate([part.scores for part in parts])
    given = np.concatenate([part.given for part in parts])
    return Judged(rows[order], scores[order], given[order])


def write_judged(path: Path, rows: Rows, judged: Judged) -> None:
    """Write JSON lines: ``row``, ``text``, ``gold`` and ``given`` labels, ``scores`` by label."""
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        for row, scores, given in zip(judged.rows, judged.scores, judged.given, strict=True):
            line = _Line(
                row=int(row),
                text=rows.texts[row],
                gold=_names(rows, rows.gold[row]),
                given=_names(rows, given),
                scores={
                    label: round(float(score), _DIGITS)
                    for label, score in zip(rows.labels, scores, strict=True)
                },
            )
            file.write(json.dumps(line.model_dump(), ensure_ascii=False) + "\n")


def read_judged(path: Path, rows: Rows) -> Judged:
    """Read what `write_judged` wrote.

    Raises:
        BertZhError: The file is none of these, or is about another corpus.
    """
    numbers, scores, given = [], [], []
    for number, text in enumerate(read_text(path, MOST).split("\n"), start=1):
        if text.strip():
            where = f"{path}:{number}"
            line = checked(_Line, parse_json(text, where), where)
            _check_line(line, rows, where)
            numbers.append(line.row)
            scores.append([line.scores[label] for label in rows.labels])
            given.append([label in line.given for label in rows.labels])
    order = np.argsort(numbers, kind="stable")
    if len(set(numbers)) < len(numbers) or not numbers:
        raise BertZhError(f"{path} {'has a row twice' if numbers else 'is empty'}: make it anew")
    return Judged(np.array(numbers)[order], np.array(scores)[order], np.array(given)[order])


def read_complete(model: Path, rows: Rows) -> NDArray[np.float64]:
    """What the pipelines of a `crossval` said of all rows; float (rows, labels).

    Args:
        model: Its folder, or its ``predictions.jsonl``.
        rows: The corpus.

    Raises:
        BertZhError: They are about another corpus, or lack rows.
    """
    judged = read_judged(model / PREDICTIONS if model.is_dir() else model, rows)
    if len(judged.rows) < len(rows.texts):
        raise BertZhError(
            f"{model} has scores of {len(judged.rows):,} of {len(rows.texts):,} rows: let "
            "'crossval' score this corpus"
        )
    return judged.scores


def _check_line(line: _Line, rows: Rows, where: str) -> None:
    if not 0 <= line.row < len(rows.texts) or rows.texts[line.row] != line.text:
        raise BertZhError(
            f"{where}: row {line.row} of the corpus isn't '{shorten_text(line.text, 50)}': these "
            "are scores of another corpus; score this one"
        )
    if line.scores.keys() != set(rows.labels):
        raise BertZhError(f"{where}: the scores are of other labels than the corpus has")


def _names(rows: Rows, marked: NDArray[np.bool_]) -> list[str]:
    return [rows.labels[i] for i in np.flatnonzero(marked)]


def to_predictions(rows: Rows, judged: Judged) -> Predictions:
    """The same as `evaluate` has it, for its figures and pictures."""
    texts = [rows.texts[i] for i in judged.rows]
    return Predictions(
        labels=rows.labels,
        exclusive=rows.exclusive and bool((judged.given.sum(axis=1) == 1).all()),
        gold=rows.gold[judged.rows].astype(int),
        predicted=judged.given.astype(int),
        scores=judged.scores,
        known=np.ones_like(judged.given),
        excerpts=[text[:EXCERPT] + "…" * (len(text) > EXCERPT) for text in texts],
        lengths=np.array([len(text) for text in texts]),
    )
