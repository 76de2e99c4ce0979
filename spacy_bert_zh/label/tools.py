"""Answers as other tools write and read them.

doccano's JSON lines of a text classification (doccano.github.io/doccano), Label Studio's tasks
(labelstud.io/guide/task_format), Argilla's records (docs.argilla.io, how_to_guides/import_export)
and Prodigy's answers in its interface "choice" (prodi.gy/docs/api-interfaces).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.label.pool import Labels
from spacy_bert_zh.label.store import Answer, now
from spacy_bert_zh.reading import Reject, Source
from spacy_bert_zh.reading.jsonl import objects
from spacy_bert_zh.reading.label_values import NotALabelError, label_names

Record = dict[str, Any]


def write_answers(tool: str, answers: Iterable[Answer], labels: Labels) -> tuple[str, str]:
    """The answers as a tool reads them.

    Args:
        tool: One of `options.TOOLS`.
        answers: The answers; doccano knows no skipping, so that those are left out for it.
        labels: What could be answered.

    Returns:
        The name of the file, and its content.
    """
    by_text: dict[str, list[Answer]] = {}
    for answer in answers:
        by_text.setdefault(answer.text, []).append(answer)
    make, in_lines = _WRITERS[tool]
    records = [record for same in by_text.values() for record in make(same, labels)]
    if in_lines:
        lines = (json.dumps(record, ensure_ascii=False) for record in records)
        return f"{tool}.jsonl", "".join(f"{line}\n" for line in lines)
    return f"{tool}.json", json.dumps(records, ensure_ascii=False, indent=1) + "\n"


def read_answers(path: Path) -> Iterator[tuple[int, Answer]]:
    """The answers in a tool's file, told by their shape, each with the line of its record.

    Who answered is what the tool calls them; where it doesn't say, the file's name, as doccano
    names its files after them. Records without an answer are passed over.

    Raises:
        BertZhError: The file is missing, or a record is none of these.
    """
    if not path.is_file():
        raise BertZhError(f"{path} is missing: --answers takes the file of a tool")
    for item in objects(Source(path, path, None, lambda count: None)):
        if isinstance(item, Reject):
            raise BertZhError(f"{path}, line {item.line}: {item.reason} {item.detail}".rstrip())
        line, record = item
        read = next(read for is_of, read in _READERS if is_of(record))
        try:
            for text, annotator, labels, time in read(record):
                who = str(path.stem if annotator in (None, "") else annotator)
                yield line, Answer(str(text), who, _names(labels), _iso(time))
        except (KeyError, TypeError, ValueError, AttributeError, NotALabelError) as error:
            raise BertZhError(
                f"{path}, line {line}: no answer of doccano, Label Studio, Argilla or Prodigy "
                f"({type(error).__name__}: {error})"
            ) from None


_Read = tuple[Any, Any, Any, Any]  # text, annotator, labels or None, time


def _names(labels: Any) -> tuple[str, ...] | None:
    return None if labels is None else tuple(label_names(labels))


def _iso(time: Any) -> str:
    """A time as Unix has it, or as ISO 8601; in UTC."""
    if time is None:
        return now()
    if isinstance(time, int | float):
        found = datetime.fromtimestamp(time, UTC)
    else:
        found = datetime.fromisoformat(str(time))
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return found.isoformat("T", "seconds")


# --- doccano, and our own labels.jsonl


def _to_doccano(answers: Sequence[Answer], labels: Labels) -> Iterator[Record]:
    for one in answers:
        if one.labels is not None:
            more = {"annotator": one.annotator, "time": one.time}
            yield {"text": one.text, "label": list(one.labels), **more}


def _from_doccano(record: Record) -> Iterator[_Read]:
    labels = record.get("label")
    for annotator in record.get("annotators", [record.get("annotator")]):
        if labels is not None:
            yield record["text"], annotator, labels, record.get("time")


# --- Label Studio


def _to_label_studio(answers: Sequence[Answer], labels: Labels) -> Iterator[Record]:
    names = {"from_name": "label", "to_name": "text", "type": "choices"}
    annotations = [
        {
            "result": [{**names, "value": {"choices": list(one.labels)}}] if one.labels else [],
            "was_cancelled": one.labels is None,
            "completed_by": {"email": one.annotator},
            "created_at": one.time,
        }
        for one in answers
    ]
    yield {"data": {"text": answers[0].text}, "annotations": annotations}


def _from_label_studio(record: Record) -> Iterator[_Read]:
    text = record["data"]["text"]
    for annotation in record["annotations"]:
        who = annotation.get("completed_by")
        if isinstance(who, dict):
            who = who.get("email", who.get("id"))
        chosen = [one["value"]["choices"] for one in annotation["result"]]
        labels = [label for choices in chosen for label in choices]
        skipped = annotation.get("was_cancelled", False)
        yield text, who, None if skipped else labels, annotation.get("created_at")


# --- Argilla


def _to_argilla(answers: Sequence[Answer], labels: Labels) -> Iterator[Record]:
    responses: list[Record] = []
    for one in answers:
        chosen: Any = list(one.labels or ())
        if labels.exclusive:
            chosen = chosen[0] if chosen else None
        status = "discarded" if one.labels is None else "submitted"
        # Argilla wants an id that is one; who that is stands beside, in the metadata.
        user = str(uuid5(NAMESPACE_URL, one.annotator))
        responses.append({"value": chosen, "user_id": user, "status": status})
    told = {
        r["user_id"]: [one.annotator, one.time] for r, one in zip(responses, answers, strict=True)
    }
    yield {
        "id": str(uuid5(NAMESPACE_URL, answers[0].text)),
        "fields": {"text": answers[0].text},
        "metadata": {"annotators": json.dumps(told, ensure_ascii=False)},
        "responses": {"label": responses},
        "suggestions": {},
        "vectors": {},
    }


def _from_argilla(record: Record) -> Iterator[_Read]:
    text = record["fields"]["text"]
    told = json.loads((record.get("metadata") or {}).get("annotators", "{}"))
    for responses in record["responses"].values():
        for one in responses:
            user = one.get("user_id")
            annotator, time = told.get(user, (user, None))
            if one.get("status") in (None, "submitted"):
                yield text, annotator, one["value"], time
            elif one["status"] == "discarded":
                yield text, annotator, None, time


# --- Prodigy


def _to_prodigy(answers: Sequence[Answer], labels: Labels) -> Iterator[Record]:
    for one in answers:
        yield {
            "text": one.text,
            "options": [{"id": name, "text": name} for name in labels.names],
            "accept": list(one.labels or ()),
            "answer": "ignore" if one.labels is None else "accept",
            "config": {"choice_style": "single" if labels.exclusive else "multiple"},
            "_view_id": "choice",
            "_annotator_id": one.annotator,
            "_timestamp": int(datetime.fromisoformat(one.time).timestamp()),
        }


def _from_prodigy(record: Record) -> Iterator[_Read]:
    who = record.get("_annotator_id", record.get("_session_id"))
    accepted = record.get("accept", record.get("label"))
    if record["answer"] != "reject":
        labels = accepted if record["answer"] == "accept" else None
        yield record["text"], who, labels, record.get("_timestamp")


_WRITERS: dict[str, tuple[Callable[[Sequence[Answer], Labels], Iterator[Record]], bool]] = {
    "argilla": (_to_argilla, False),
    "doccano": (_to_doccano, True),
    "label-studio": (_to_label_studio, False),
    "prodigy": (_to_prodigy, True),
}
_READERS: list[tuple[Callable[[Record], bool], Callable[[Record], Iterator[_Read]]]] = [
    (lambda record: "data" in record and "annotations" in record, _from_label_studio),
    (lambda record: "fields" in record and "responses" in record, _from_argilla),
    (lambda record: "answer" in record, _from_prodigy),
    (lambda record: True, _from_doccano),
]
