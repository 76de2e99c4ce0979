"""What searching is worth on questions whose answers are known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import count_pairs, holm, interval, mcnemar, resample
from spacy_bert_zh.files import owned
from spacy_bert_zh.retrieve.measures import MEASURES, measure_one
from spacy_bert_zh.retrieve.ranking import Ranked, rank
from spacy_bert_zh.retrieve.refusal import Refusal, fit_refusal
from spacy_bert_zh.retrieve.retriever import Entry, Retriever, check_question
from spacy_bert_zh.retrieve.tables import read_table
from spacy_bert_zh.untrusted import shorten_text


@dataclass(frozen=True)
class Question:
    """A question, and the entries that answer it; none where nothing does."""

    text: str
    wanted: frozenset[int]


def read_questions(
    path: Path, entries: Sequence[Entry], text_column: str, expected_column: str
) -> list[Question]:
    """Read questions with what should be found: a text, a further wording or an answer.

    Raises:
        BertZhError: There are none, or one expects what isn't there.
    """
    known: dict[str, set[int]] = {}
    for place, entry in enumerate(entries):
        for text in {*entry.texts, entry.answer} - {""}:
            known.setdefault(text, set()).add(place)
    questions = []
    for line in read_table(path, text_column, expected_column):
        expected = line.one(expected_column)
        if expected and expected not in known:
            raise BertZhError(
                f"{line.source} expects {shorten_text(expected, 40)!r}, which is neither text nor "
                f"answer of an entry: leave '{expected_column}' empty where nothing answers"
            )
        try:
            check_question(line.text)
        except BertZhError as error:
            raise BertZhError(f"{line.source}: {error}") from None
        questions.append(Question(line.text, frozenset(known.get(expected, ()))))
    if not questions:
        raise BertZhError(f"{path} holds no question")
    return questions


def fit(retriever: Retriever, questions: Sequence[Question], right: float) -> Refusal:
    """Find when to say that none of the hits is right; see `fit_refusal`."""
    by = retriever.modes[-1]
    ranked = retriever.rank([question.text for question in questions], by)
    return fit_refusal(ranked, _correct(ranked, questions), by, right)


def evaluate_retriever(
    folder: Path,
    questions: Path,
    output: Path,
    *,
    text_column: str = "",
    expected_column: str = "expected",
) -> dict[str, Any]:
    """Measure how well questions find what answers them, by words, by vectors and by both.

    Args:
        folder: What `build` made.
        questions: A table of questions that nothing was chosen by.
        output: JSON file to write.
        text_column: Of the questions; else detected.
        expected_column: Of what should be found: a text or an answer; empty for none.

    Returns:
        The content of the file: by way of ranking the `MEASURES` with their intervals, and the
        p-values of McNemar's tests of the first places against words, adjusted by Holm. If the
        folder knows when to say no, ``refusal`` says what of the questions was answered, what
        share of these rightly, and what share of those without an answer was refused.

    Raises:
        BertZhError: Bad input.
    """
    with owned(output, "retrieve", [folder, questions], folder=False) as made:
        retriever = Retriever.load(folder)
        asked = read_questions(questions, retriever.entries, text_column, expected_column)
        found = measure(retriever, asked)
        text = json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False)
        made.write_text(f"{text}\n", "utf-8")
    return found


def measure(retriever: Retriever, questions: Sequence[Question]) -> dict[str, Any]:
    """The figures of `evaluate_retriever`.

    Raises:
        BertZhError: None of the questions has an answer.
    """
    answered = [place for place, question in enumerate(questions) if question.wanted]
    if not answered:
        raise BertZhError("None of the questions has an answer here: nothing can be measured")
    found: dict[str, Any] = {"entries": len(retriever.entries), "questions": len(questions)}
    found |= {"with_answer": len(answered), "by": {}}
    first: dict[str, Any] = {}
    lists = retriever.lists([question.text for question in questions], retriever.modes[-1])
    for by in retriever.modes:
        ranked = [rank(*pair, by) for pair in lists]
        rows = np.asarray(
            [
                measure_one([entry for entry, _ in ranked[place].hits], questions[place].wanted)
                for place in answered
            ]
        )
        first[by] = _correct(ranked, questions)[answered]
        found["by"][by] = _figures(rows)
        if retriever.refusal is not None and retriever.refusal.by == by:
            found["refusal"] = _refused(retriever.refusal, ranked, questions)
    others = [by for by in retriever.modes if by != "words"]
    tests = holm([mcnemar(*count_pairs(first["words"], first[by])) for by in others])
    for by, p_value in zip(others, tests, strict=True):
        found["by"][by]["p"] = p_value
    return found


def _figures(rows: Any) -> dict[str, Any]:
    sums = resample(rows) / len(rows)
    return {
        name: {"value": float(rows[:, column].mean()), "interval": interval(sums[:, column])}
        for column, name in enumerate(MEASURES)
    }


def _correct(ranked: Sequence[Ranked], questions: Sequence[Question]) -> Any:
    """Whether the first hit of each question is right; shape (questions,)."""
    return np.asarray(
        [
            bool(one.hits) and one.hits[0][0] in question.wanted
            for one, question in zip(ranked, questions, strict=True)
        ]
    )


def _refused(
    refusal: Refusal, ranked: Sequence[Ranked], questions: Sequence[Question]
) -> dict[str, Any]:
    given = np.asarray([refusal.confidence(one) >= refusal.score for one in ranked])
    without = np.asarray([not question.wanted for question in questions])
    right = _correct(ranked, questions)
    return {
        "aim": refusal.right,
        "answered": float(given.mean()),
        "right": float(right[given].mean()) if given.any() else None,
        "refused_without_answer": float((~given)[without].mean()) if without.any() else None,
    }
