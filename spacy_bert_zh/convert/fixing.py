"""A person's decisions, applied to the rows of a corpus, each with what it changed."""

from pathlib import Path
from typing import Any

from spacy_bert_zh.convert.naming import Naming
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import EXCERPT
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import NotALabelError, make_cleaner

DROPPED = "dropped by --fixes"
_DONE = {"relabel": "relabelled", "drop": "dropped", "keep": "kept"}


class Fixing:
    """Applies the decisions of ``--fixes`` and counts what they did.

    Args:
        options: With the file; without one nothing is changed.
        naming: How labels are cleaned.

    Raises:
        BertZhError: The file is no good; see `Fixes`.
    """

    def __init__(self, options: Options, naming: Naming) -> None:
        self._path, self._naming = options.fixes, naming
        from spacy_bert_zh.reading.fixes import Fixes  # needs pydantic

        self._fixes = Fixes(options.fixes, make_cleaner(options)) if options.fixes else None
        self._met: set[str] = set()
        self._rows = dict.fromkeys(_DONE, 0)
        self._changed: list[dict[str, Any]] = []

    def apply(self, text: str, labels: tuple[str, ...], place: tuple[str, int]) -> tuple[str, ...]:
        """The labels of a row as a person decided.

        Raises:
            NotALabelError: The row was dropped, or its new label is none.
        """
        fix = self._fixes.of(text) if self._fixes else None
        if fix is None or fix.action is None:
            return labels
        self._met.add(text)
        before, action = labels, fix.action
        if action == "relabel":
            labels = self._naming.of(fix.labels)
            action = "relabel" if {*labels} != {*before} else "keep"
        self._rows[action] += 1
        if action == "drop":
            raise NotALabelError(DROPPED)
        if action == "relabel":
            row = {"text": text[:EXCERPT], "from": list(before), "to": list(labels)}
            self._changed.append({"file": place[0], "line": place[1], **row})
        return labels

    def report(self, source: Path) -> dict[str, Any]:
        """Rows by what was done to them, decided texts that no row has, and each new label.

        Raises:
            BertZhError: No decided text is in the corpus.
        """
        if self._fixes is None:
            return {}
        unknown = len(self._fixes) - len(self._met)
        if unknown and not self._met:
            raise BertZhError(
                f"--fixes {self._path} is about other texts: none of its {unknown:,} is in {source}"
            )
        return {
            "rows": {_DONE[action]: number for action, number in self._rows.items()},
            "unknown_texts": unknown,
            "undecided": self._fixes.undecided,
            "relabelled": self._changed,
        }


def say(fixed: dict[str, Any]) -> list[str]:
    """What the decisions did, in words."""
    if not fixed:
        return []
    done = ", ".join(f"{number:,} {how}" for how, number in fixed["rows"].items())
    words = [f"--fixes: {done} rows"]
    if fixed["unknown_texts"]:
        words.append(f"--fixes: {fixed['unknown_texts']:,} decided texts are not in the corpus")
    if fixed["undecided"]:
        words.append(f"--fixes: {fixed['undecided']:,} lines decide nothing")
    return words
