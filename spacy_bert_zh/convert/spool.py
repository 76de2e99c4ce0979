"""The rows on disk, in a temporary SQLite database: any corpus fits into little memory.

It answers what needs the whole corpus: duplicates, contradictions, leaks, split and order.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

EXCERPT = 100
SPLITS = ("train", "dev", "test")

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, split INTEGER, file TEXT, line INTEGER, text TEXT, labels TEXT,
    key BLOB, place REAL, position INTEGER
);
CREATE TABLE added (
    id INTEGER PRIMARY KEY, row INTEGER, text TEXT, family TEXT, key BLOB UNIQUE, position INTEGER
);
CREATE TABLE rejects (row INTEGER, file TEXT, line INTEGER, reason TEXT, detail TEXT, text TEXT);
"""
# The texts that occur more than once in a split, with their first row and two of their labels.
_REPEATED = """
CREATE INDEX by_text ON rows (split, key, labels);
CREATE TABLE repeated AS
    SELECT split, key, min(id) AS first, min(labels) AS low, max(labels) AS high
    FROM rows GROUP BY split, key HAVING count(*) > 1;
CREATE INDEX repeated_by_text ON repeated (split, key);
"""
_CONTRADICTORY = """
SELECT r.id, 'contradictory labels', o.labels || ' in ' || o.file || ':' || o.line
FROM repeated g JOIN rows r USING (split, key)
JOIN rows o ON o.id = (
    SELECT id FROM rows WHERE split = g.split AND key = g.key
    AND labels = CASE r.labels WHEN g.low THEN g.high ELSE g.low END LIMIT 1)
WHERE g.low <> g.high
"""
_DUPLICATE = """
SELECT r.id, 'duplicate', 'of ' || o.file || ':' || o.line
FROM repeated g JOIN rows r USING (split, key) JOIN rows o ON o.id = g.first
WHERE g.low IS g.high AND r.id > g.first
"""
# The later split keeps the text: test before dev before train.
_LEAK = """
SELECT r.id, 'leak', 'also in ' || o.file || ':' || o.line
FROM rows o JOIN rows r ON r.key = o.key AND r.split = ?
WHERE o.split = ?
"""
_STRATIFY = """
UPDATE rows SET place = ranked.share FROM (
    SELECT id, (row_number() OVER (PARTITION BY labels ORDER BY place, id) - 0.5)
        / count(*) OVER (PARTITION BY labels) AS share
    FROM rows WHERE split = 0
) AS ranked WHERE rows.id = ranked.id
"""
_ADD = """
INSERT OR IGNORE INTO added
    SELECT NULL, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM rows WHERE key = ?)
"""
# With the texts that were made of them, each at a place of its own.
_ORDERED = """
SELECT text, labels, file, line, NULL, position, id FROM rows WHERE split = ?1
UNION ALL
SELECT a.text, labels, file, line, family, a.position, a.id
    FROM added a JOIN rows r ON r.id = a.row WHERE split = ?1
ORDER BY position, id
"""
_NONE = "SELECT id, ?, ? FROM rows WHERE labels = '[]'"
_OVER_LIMIT = """
SELECT id, 'over --limit', '' FROM (
    SELECT id, row_number() OVER (PARTITION BY split ORDER BY position, id) AS number FROM rows
) WHERE number > ?
"""
_REJECT = f"""
WITH selected (row, reason, detail) AS ({{}})
INSERT INTO rejects
    SELECT row, file, line, reason, detail, substr(text, 1, {EXCERPT})
    FROM selected JOIN rows ON id = row ORDER BY id
"""


class Spooled(NamedTuple):
    """A row as it is stored; `labels` are JSON, sorted, or None."""

    split: int
    file: str
    line: int
    text: str
    labels: str | None
    key: bytes
    place: float
    position: int


class Written(NamedTuple):
    """A row as it will be written; `labels` are JSON, sorted, or None.

    `family` says how a text was changed that was made of the row's; else it is None.
    """

    text: str
    labels: str | None
    file: str
    line: int
    family: str | None = None


class Spool:
    """Rows kept and rows rejected."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_TABLES)

    def add(self, row: Spooled) -> None:
        """Store a row."""
        self._database.execute("INSERT INTO rows VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def reject(self, file: str, line: int, reason: str, detail: str, text: str) -> None:
        """Store a row that can't be used."""
        values = (file, line, reason, printable(detail[:EXCERPT]), printable(text[:EXCERPT]))
        self._database.execute("INSERT INTO rejects VALUES (NULL, ?, ?, ?, ?, ?)", values)

    def rename_labels(self, names: Mapping[str, str]) -> None:
        """Give labels other names, in all rows."""
        self.change_labels(lambda labels: {names.get(label, label) for label in labels})

    def change_labels(self, change: Callable[[list[str]], set[str]]) -> None:
        """Give all rows other labels, which follow from those they have."""

        def changed(labels: str) -> str:
            return dump_labels(change(json.loads(labels)))

        self._database.create_function("changed", 1, changed, deterministic=True)
        self._database.execute("UPDATE rows SET labels = changed(labels)")

    def reject_without_labels(self, reason: str, detail: str) -> None:
        """Reject the rows that say that they have none of the labels."""
        self._reject_selected(_NONE, reason, detail)

    def reject_repeated(self) -> None:
        """Reject contradictions and duplicates within a split, then leaks between splits."""
        self._database.executescript(_REPEATED)
        self._reject_selected(_CONTRADICTORY)
        self._reject_selected(_DUPLICATE)
        for split, later in ((0, 2), (0, 1), (1, 2)):
            self._reject_selected(_LEAK, split, later)
        self._database.executescript("DROP TABLE repeated; DROP INDEX by_text;")

    def split(self, shares: tuple[float, ...], stratified: bool) -> None:
        """Give rows of train to dev and test by their place, and index the shuffled order."""
        if stratified:
            self._database.execute(_STRATIFY)
        train, dev, test = shares
        self._database.execute(
            "UPDATE rows SET split = CASE WHEN place < ? THEN 1 ELSE 2 END "
            "WHERE split = 0 AND place >= ?",
            (train + dev if test else 1, train if dev or test else 1),
        )
        self._database.execute("CREATE INDEX by_order ON rows (split, position)")

    def limit(self, most: int) -> None:
        """Reject the rows after the first ones of each split."""
        self._reject_selected(_OVER_LIMIT, most)

    def rows(self, split: int) -> Iterator[Written]:
        """Yield the rows of a split in shuffled order."""
        for *row, _, _ in self._database.execute(_ORDERED, (split,)):
            yield Written._make(row)

    def originals(self, split: int) -> Iterator[tuple[int, str]]:
        """Yield the number and text of the rows of a split, as they were read."""
        self._database.execute("CREATE INDEX IF NOT EXISTS by_key ON rows (key)")
        query = "SELECT id, text FROM rows WHERE split = ? ORDER BY id"
        yield from self._database.execute(query, (split,))

    def add_changed(self, row: int, text: str, family: str, seed: int) -> None:
        """Store a text that was made of a row's, unless some row or another such text is the same.

        Args:
            row: Its number.
            text: The text.
            family: How it was changed.
            seed: Of the shuffle.
        """
        key, _, position = digest(text, seed)
        self._database.execute(_ADD, (row, text, family, key, position, key))

    def rejects(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield (file, line, reason with detail, excerpt)."""
        yield from self._database.execute(
            "SELECT file, line, rtrim(reason || ' ' || detail), text FROM rejects "
            "ORDER BY file, line, rowid"
        )

    def count(self, table: str, what: str = "*") -> int:
        """Count the rows of a table, or what they have there."""
        return int(self._database.execute(f"SELECT count({what}) FROM {table}").fetchone()[0])

    def counts(self, table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield the values of columns that occur together, and in how many rows."""
        names = ", ".join(columns)
        yield from self._database.execute(
            f"SELECT {names}, count(*) FROM {table} GROUP BY {names} ORDER BY {names}"
        )

    def _reject_selected(self, query: str, *values: int | str) -> None:
        """Move the rows of a query of (id, reason, detail) to the rejected ones."""
        self._database.execute(_REJECT.format(query), values)
        self._database.execute("DELETE FROM rows WHERE id IN (SELECT row FROM rejects)")


@contextmanager
def open_spool(path: Path) -> Iterator[Spool]:
    """Open a spool in a new file, and remove the file in the end."""
    with closing(sqlite3.connect(path)) as database:
        yield Spool(database)
    path.unlink()


def digest(text: str, seed: int) -> tuple[bytes, float, int]:
    """A text's identity, its place between 0 and 1 for splitting, its position for shuffling."""
    key = hashlib.blake2b(
        text.encode(), digest_size=16, salt=seed.to_bytes(16, "little", signed=True)
    ).digest()
    place = int.from_bytes(key[:6], "big") / (1 << 48)
    return key, place, int.from_bytes(key[8:], "big", signed=True)


def dump_labels(labels: Iterable[str]) -> str:
    """Labels as they are stored: those of two rows are the same if these are."""
    return json.dumps(sorted(labels), ensure_ascii=False)


def printable(text: str) -> str:
    """A text that can be stored: lone surrogates as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
