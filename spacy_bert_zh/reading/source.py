"""Input files as text, in pieces of bounded size."""

import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from spacy_bert_zh.reading.encodings import Census, survey
from spacy_bert_zh.reading.inputs import PIECE, unpacked

# Four times what spaCy's nlp.max_length of 1,000,000 characters takes in UTF-8: no record
# above this has a text that could be used, and none is ever held in memory.
RECORD_LIMIT = 1 << 24
TOO_LONG = "record over the limit of 16 Mi characters"


class Source:
    """One input file, or standard input, as text. Broken bytes become U+FFFD.

    Args:
        path: The file, plain or packed by gzip or xz; `inputs.STDIN`, the path ``-``, is
            standard input. It may be read more than once: standard input is kept on disk.
        root: The input that it was found in: a folder, or the file itself.
        encoding: Its encoding; None detects it.
        progress: Called with the number of further bytes of the file that are done.

    Attributes:
        notes: What a reader has decided about the file, for the report.
    """

    def __init__(
        self,
        path: Path,
        root: Path,
        encoding: str | None = None,
        progress: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.path = path
        self.root = root
        self.notes: list[str] = []
        self._encoding = encoding
        self._progress = progress
        self._done = 0

    @cached_property
    def survey(self) -> Census:
        """Its encoding and what ends its lines, found by reading all of it."""
        return survey(self.path, self._encoding)

    def pieces(self, progress: bool = True) -> Iterator[tuple[int, str]]:
        """Yield (line number, text): a line, or a long line in several pieces.

        Lines end in ``\n`` or ``\r\n``. In a file where more of them end in ``\r`` alone, that
        ends a line as well, and all of them end in ``\n`` here. Passes that only look don't
        report progress.

        Raises:
            BertZhError: The file isn't text, is damaged, or its encoding isn't what it seems.
        """
        found = self.survey
        # Marks of byte order are none of the text, even where files have been joined.
        number, at_start = 1, True
        with unpacked(self.path) as (raw, stream):
            text = io.TextIOWrapper(stream, found.encoding, "replace", newline=found.newline)
            try:
                while piece := text.readline(PIECE):
                    yield number, piece.removeprefix("\ufeff") if at_start else piece
                    at_start = piece.endswith("\n")
                    number += at_start
                    if progress:
                        self.done(raw.tell())
            finally:
                text.detach()  # or standard input would be closed with it

    def lines(self, progress: bool = True) -> Iterator[tuple[int, str | None]]:
        """Yield (line number, line), with None for a line of more than `RECORD_LIMIT`."""
        for number, pieces in itertools.groupby(self.pieces(progress), key=itemgetter(0)):
            yield number, _joined(piece for _, piece in pieces)

    def text(self) -> str | None:
        """The whole text, or None if it is more than `RECORD_LIMIT`."""
        return _joined(piece for _, piece in self.pieces())

    def done(self, position: int) -> None:
        """Report progress up to a position in the file."""
        if position > self._done:
            self._progress(position - self._done)
            self._done = position


def detect_encoding(path: Path) -> str:
    """Tell UTF-8, UTF-16, GB18030 and Big5 apart by all bytes of a file.

    Raises:
        BertZhError: It is in none of them, or in several.
    """
    return survey(path).encoding


def _joined(pieces: Iterable[str]) -> str | None:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size <= RECORD_LIMIT:
            parts.append(piece)
    return "".join(parts) if size <= RECORD_LIMIT else None
