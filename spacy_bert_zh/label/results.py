"""What was labelled, as files for `convert` and `index`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.files import whole
from spacy_bert_zh.label.agreement import measure
from spacy_bert_zh.label.pool import Item, Labels
from spacy_bert_zh.label.store import Answer

LABELS, DISAGREED, AGREEMENT = "labels.jsonl", "disagreed.jsonl", "agreement.json"


@dataclass(frozen=True)
class Results:
    """What all annotators together have said.

    Attributes:
        agreed: Rows of texts to which all who answered gave the same labels.
        disagreed: Rows of texts to which they gave different ones.
        agreement: How far they agree; see `agreement.measure`.
    """

    agreed: list[dict[str, Any]]
    disagreed: list[dict[str, Any]]
    agreement: dict[str, Any]


def gather(items: Sequence[Item], labels: Labels, answers: Iterable[Answer]) -> Results:
    """Bring the answers to the texts of a pool together, in its order."""
    places = {item.text: place for place, item in enumerate(items)}
    known = [answer for answer in answers if answer.text in places]
    by_text: dict[str, list[Answer]] = {}
    for answer in known:
        if answer.labels is not None:
            by_text.setdefault(answer.text, []).append(answer)
    agreed, disagreed = [], []
    for text in sorted(by_text, key=places.__getitem__):
        item, given = items[places[text]], by_text[text]
        where = {"file": item.file, "line": item.line}
        if len({answer.labels for answer in given}) == 1:
            agreed.append(_row(given, labels) | where)
        else:
            said = {one.annotator: _label(one, labels) for one in given}
            disagreed.append({"text": text, "answers": said, **where})
    return Results(agreed, disagreed, measure(known))


def _label(answer: Answer, labels: Labels) -> str | list[str]:
    given = answer.labels or ()
    return given[0] if labels.exclusive else list(given)


def _row(given: Sequence[Answer], labels: Labels) -> dict[str, Any]:
    return {
        "text": given[0].text,
        "label": _label(given[0], labels),
        "action": "relabel",  # for convert --fixes
        "annotators": [answer.annotator for answer in given],
        "time": max(answer.time for answer in given),
    }


def write_results(folder: Path, results: Results) -> None:
    """Write them, each file whole or not at all."""
    contents = {
        LABELS: _lines(results.agreed),
        DISAGREED: _lines(results.disagreed),
        AGREEMENT: json.dumps(results.agreement, ensure_ascii=False, indent=2) + "\n",
    }
    for name, content in contents.items():
        with whole(folder / name) as part:
            part.write_text(content, "utf-8")


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
