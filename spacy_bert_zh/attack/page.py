"""What people read of an attack: the terminal's lines and a self-contained HTML page."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from spacy_bert_zh.attack.report import Attempts
from spacy_bert_zh.attack.search import Attempt
from spacy_bert_zh.changes import Edit, pieces
from spacy_bert_zh.evaluate import make_environment

SHOWN = 5
"""Texts of each family; adversarial.jsonl has all."""
AROUND = 30
"""Characters before and after a change."""


def render_page(found: dict[str, Any], attempts: Attempts) -> str:
    """Render the HTML page; texts, labels and names in it are escaped.

    Args:
        found: The content of ``attack.json``.
        attempts: By family.
    """
    environment = make_environment("spacy_bert_zh.attack")
    environment.filters |= {"percent": _percent, "names": _names, "marked": _marked}
    fallen = {
        family.name: [one for one in ones if one.fell][:SHOWN] for family, ones in attempts.items()
    }
    template = environment.get_template("attack.html")
    return template.render(found=found, fallen=fallen)


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What a terminal shows of an attack.

    Args:
        found: The content of ``attack.json``.
    """
    yield f"{found['texts']:,} texts, {found['right']:,} right before: {_share(found['accuracy'])}"
    for one in found["families"]:
        left = ", ".join(f"{_percent(at['value'])} after {at['budget']}" for at in one["left"])
        yield f"{one['family']:>12}: {left}"
    for name, why in found["left_out"].items():
        yield f"{name:>12}: left out, it {why}"
    yield f"right whatever the family: {_share(found['together'])}"


def _share(share: dict[str, float]) -> str:
    low, high = (_percent(share[end]) for end in ("low", "high"))
    return f"{_percent(share['value'])} ({low} to {high})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _names(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "–"


def _marked(attempt: Attempt) -> Iterator[tuple[str, str | None]]:
    """A changed text in pieces, each with what stood there before, or None; long ones are cut."""
    parts = pieces(attempt.target.text, attempt.edits)
    for i, (piece, edit) in enumerate(parts):
        if edit is None:
            yield _cut(piece, i == 0, i == len(parts) - 1), None
        else:
            yield _visible(piece), _before(attempt, edit)


def _before(attempt: Attempt, edit: Edit) -> str:
    return attempt.target.text[edit.start : edit.end]


def _cut(piece: str, first: bool, last: bool) -> str:
    if len(piece) <= 2 * AROUND:
        return piece
    start = "" if first else piece[:AROUND]
    return f"{start}…{'' if last else piece[-AROUND:]}"


def _visible(text: str) -> str:
    """A text in which what can't be seen stands as its code point; nothing as a sign for it."""
    if not text:
        return "∅"
    return "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c)[0] in "CMZ" else c for c in text)
