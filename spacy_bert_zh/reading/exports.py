"""What tools for annotation export, as records with a column of labels.

Told by their shape, record by record: Label Studio's JSON (labelstud.io/guide/task_format),
Prodigy's answers (prodi.gy/docs/api-interfaces), Argilla's records, nested, flattened or of
version 1 (docs.argilla.io). doccano's, Label Studio's JSON-MIN and spaCy's cats are plain columns.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spacy_bert_zh.reading.columns import Columns
from spacy_bert_zh.reading.label_values import NotALabelError, label_names
from spacy_bert_zh.reading.rows import Reject

NOT_ANNOTATED = "not annotated"
REFUSED = "refused by the annotator"
DISAGREEMENT = "annotators disagree"

ANSWER = "answer"
"""Prodigy's column."""

_ANSWERS = ("accept", "reject", "ignore")
_RESPONSES = ".responses"


@dataclass(frozen=True)
class Record:
    """A record with named columns.

    Args:
        values: By column.
        labels: The columns that a tool writes labels into; empty where the names must tell.
        faults: For some of them, or "" for all: reason and detail why there is no label.
    """

    values: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    faults: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def refused(line: int, record: Mapping[str, Any], columns: Columns) -> Reject | None:
    """The row of a table that holds an answer of Prodigy's, if it isn't accepted."""
    answer = record.get(ANSWER)
    if columns.label is None or ANSWER in columns.names or answer not in _ANSWERS[1:]:
        return None
    text = " ".join(str(record.get(name)) for name in columns.text)
    return Reject(line, REFUSED, f"(answer: {answer})", text)


@dataclass(frozen=True)
class _Vote:
    """What one annotator said."""

    value: Any
    final: bool = True


def understand(record: Mapping[str, Any]) -> Record:
    """Take a tool's record apart, or leave an ordinary one as it is."""
    for tool in (_label_studio, _prodigy, _argilla, _argilla_flat, _argilla_feedback, _argilla_1):
        if found := tool(record):
            return found
    return Record(record)


def _label_studio(task: Mapping[str, Any]) -> Record | None:
    data = task.get("data")
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return None
    given = [item for item in annotations if isinstance(item, dict)]
    kept = [item for item in given if not item.get("was_cancelled") and item.get("result")]
    # Where the reviewer has said which one is right, the others don't count.
    kept = [item for item in kept if item.get("ground_truth")] or kept
    votes: dict[str, list[_Vote]] = {}
    for annotation in kept:
        for name, chosen in _choices(annotation["result"]).items():
            votes.setdefault(name, []).append(_Vote(chosen))
    cancelled = any(item.get("was_cancelled") for item in given)
    guessed = "(but predicted)" if task.get("predictions") else ""
    nothing = (REFUSED, "(skipped)") if cancelled else (NOT_ANNOTATED, guessed)
    return _agreed(data, votes, nothing)


def _choices(results: Any) -> dict[str, list[str]]:
    """The choices of an annotation by the name of their control."""
    chosen: dict[str, list[str]] = {}
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            chosen.setdefault(str(result.get("from_name", "label")), []).extend(value["choices"])
    return chosen


def _prodigy(task: Mapping[str, Any]) -> Record | None:
    answer = task.get("answer")
    if answer not in _ANSWERS or not ("label" in task or "accept" in task or "options" in task):
        return None
    accepted = task.get("accept", task.get("label"))
    values = {key: value for key, value in task.items() if key != "label"}
    if answer != "accept":
        return Record(values, ("label",), {"label": (REFUSED, f"(answer: {answer})")})
    return Record({**values, "label": accepted}, ("label",))


def _argilla(record: Mapping[str, Any]) -> Record | None:
    fields, responses = record.get("fields"), record.get("responses")
    if not isinstance(fields, dict) or not isinstance(responses, dict | list):
        return None
    votes: dict[str, list[_Vote]] = {}
    for question, answers in _by_question(responses):
        for answer in answers:
            votes.setdefault(question, []).append(
                _Vote(answer.get("value"), answer.get("status") in (None, "submitted"))
            )
    return _agreed(fields, votes, _unanswered(record, record.get("suggestions")))


def _by_question(responses: Any) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Yield (question, answers) of version 2's responses, or of a feedback dataset's."""
    if isinstance(responses, dict):
        for question, answers in responses.items():
            yield question, _listed(answers)
        return
    for response in _listed(responses):
        for question, value in (response.get("values") or {}).items():
            yield question, [{"status": response.get("status"), **value}]


def _argilla_flat(record: Mapping[str, Any]) -> Record | None:
    questions = [
        name.removesuffix(_RESPONSES)
        for name in record
        if name.endswith(_RESPONSES) and f"{name}.status" in record
    ]
    # A question nobody has answered yet has a suggestion alone.
    suggested = [name for name in record if name.endswith(".suggestion")]
    if not questions and not suggested:
        return None
    votes = {
        question: [
            _Vote(value, status in (None, "submitted"))
            for value, status in zip(
                record[question + _RESPONSES] or [],
                record[f"{question}{_RESPONSES}.status"] or [],
                strict=False,
            )
        ]
        for question in questions
    }
    values = {name: value for name, value in record.items() if name not in questions}
    labels = (*questions, *(name.removesuffix(".suggestion") for name in suggested))
    return _agreed(values, votes, _unanswered(record, suggested), labels)


def _argilla_feedback(record: Mapping[str, Any]) -> Record | None:
    """A feedback dataset of version 1 as a dataset of Hugging Face."""
    questions = [name for name in record if f"{name}-suggestion" in record]
    if not questions:
        return None
    votes: dict[str, list[_Vote]] = {}
    for question in questions:
        for answer in _listed(record[question]):
            final = answer.get("status") in (None, "submitted")
            votes.setdefault(question, []).append(_Vote(answer.get("value"), final))
    values = {name: value for name, value in record.items() if name not in questions}
    guessed = [name for name in questions if record[f"{name}-suggestion"] is not None]
    return _agreed(values, votes, _unanswered(record, guessed), tuple(questions))


def _listed(answers: Any) -> list[dict[str, Any]]:
    """Answers as objects, also where they stand as a list for each key."""
    if isinstance(answers, dict):
        columns = [column if isinstance(column, list) else [] for column in answers.values()]
        return [dict(zip(answers, answer, strict=False)) for answer in zip(*columns, strict=False)]
    return [answer for answer in answers or [] if isinstance(answer, dict)]


def _argilla_1(record: Mapping[str, Any]) -> Record | None:
    if not {"annotation", "prediction", "status"} <= record.keys():
        return None
    inputs = record.get("inputs")
    values = {**inputs, **record} if isinstance(inputs, dict) else dict(record)
    if record["status"] != "Discarded" and record["annotation"] not in (None, []):
        return Record(values, ("annotation",))
    del values["annotation"]
    return Record(
        values, ("annotation",), {"annotation": _unanswered(record, record["prediction"])}
    )


def _unanswered(record: Mapping[str, Any], guesses: Any) -> tuple[str, str]:
    if str(record.get("status")).lower() == "discarded":
        return REFUSED, "(discarded)"
    return NOT_ANNOTATED, "(but suggested)" if guesses else ""


def _agreed(
    values: Mapping[str, Any],
    votes: Mapping[str, list[_Vote]],
    nothing: tuple[str, str],
    labels: tuple[str, ...] = (),
) -> Record:
    """One value for each question, where those who answered it finally agree."""
    found, faults = dict(values), {}
    names = tuple(dict.fromkeys((*votes, *labels)))
    for name in names:
        final = [vote.value for vote in votes.get(name, []) if vote.final]
        if not final:
            faults[name] = (NOT_ANNOTATED, "(not submitted)") if votes.get(name) else nothing
        elif len({_canonical(value) for value in final}) > 1:
            said = json.dumps(final, ensure_ascii=False, default=str)
            faults[name] = (DISAGREEMENT, f"({said})")
        else:
            found[name] = final[0]
    if not names:
        faults[""] = nothing
    return Record(found, names, faults)


def _canonical(value: Any) -> str:
    try:
        return json.dumps(sorted(label_names(value)), ensure_ascii=False)
    except NotALabelError:
        return json.dumps(value, sort_keys=True, default=str)
