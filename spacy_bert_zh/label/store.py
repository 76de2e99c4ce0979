"""Answers on disk: what was stored is there, however the process or the machine ends."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import one_line

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL,
    annotator TEXT NOT NULL,
    labels TEXT NOT NULL,
    time TEXT NOT NULL,
    UNIQUE (text, annotator)
)
"""


@dataclass(frozen=True)
class Answer:
    """What somebody said of a text.

    Attributes:
        text: The text.
        annotator: Who.
        labels: Which labels it has, in the order of all labels; None if it was skipped.
        time: When, as ISO 8601 in UTC.
    """

    text: str
    annotator: str
    labels: tuple[str, ...] | None
    time: str


def now() -> str:
    """The time as an `Answer` has it."""
    return datetime.now(UTC).isoformat("T", "seconds")


class Store:
    """The answers of all annotators, in the order in which they came.

    Args:
        path: An SQLite file, made if there is none.

    Raises:
        BertZhError: The file is something else.
    """

    def __init__(self, path: Path) -> None:
        self._answers: dict[str, dict[str, Answer]] = {}
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            # A journal also works on network disks; EXTRA waits until its end is on disk, too.
            self._database.execute("PRAGMA journal_mode = DELETE")
            self._database.execute("PRAGMA synchronous = EXTRA")
            self._database.execute(_TABLE)
            query = "SELECT text, annotator, labels, time FROM answers ORDER BY number"
            for text, annotator, labels, time in self._database.execute(query):
                given = json.loads(labels)
                known = None if given is None else tuple(given)
                self._keep(Answer(text, annotator, known, time))
        except (sqlite3.Error, ValueError) as error:
            raise BertZhError(f"{path} is no file of answers: {one_line(error)}") from error

    def _keep(self, answer: Answer) -> None:
        self._answers.setdefault(answer.annotator, {})[answer.text] = answer

    def add(self, answer: Answer) -> Answer:
        """Store an answer; it is on disk when this returns.

        Returns:
            The answer of this annotator to this text that stands: the first one.
        """
        if known := self.of(answer.annotator).get(answer.text):
            return known
        labels = json.dumps(answer.labels, ensure_ascii=False)
        row = (answer.text, answer.annotator, labels, answer.time)
        query = "INSERT INTO answers (text, annotator, labels, time) VALUES (?, ?, ?, ?)"
        self._database.execute(query, row)
        self._keep(answer)
        return answer

    def remove(self, annotator: str, text: str) -> None:
        """Take an answer back, as if it had never been given."""
        query = "DELETE FROM answers WHERE annotator = ? AND text = ?"
        self._database.execute(query, (annotator, text))
        self._answers.get(annotator, {}).pop(text, None)

    def of(self, annotator: str) -> dict[str, Answer]:
        """The answers of an annotator by text, the last one last."""
        return self._answers.get(annotator, {})

    def all(self) -> list[Answer]:
        """All answers, annotator by annotator."""
        return [answer for answers in self._answers.values() for answer in answers.values()]

    def close(self) -> None:
        """Close the file."""
        self._database.close()
