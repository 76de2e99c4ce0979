"""Texts that a model will be judged by, kept out of what it learns from."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError

RUN = 12
"""Two texts are near-duplicates if they share so many characters in a row."""

_BASE = np.uint64(0x9E3779B97F4A7C15)


class Overlap:
    """Tells whether a text equals, or nearly equals, one of a given set.

    Only letters, digits and characters count, without case. Shorter texts than `RUN` are
    compared whole. The runs of a text are compared by 64-bit hashes.

    Args:
        texts: The texts to keep out.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        letters = [plain(text) for text in texts]
        self._whole = set(letters) - {""}
        hashes = [runs(text) for text in letters]
        self._runs = np.unique(np.concatenate(hashes)) if hashes else runs("")

    def __len__(self) -> int:
        return len(self._whole)

    def find(self, text: str) -> str | None:
        """ "exact", "near", or None."""
        letters = plain(text)
        if letters in self._whole:
            return "exact"
        if len(self._runs) and len(found := runs(letters)):
            at = np.searchsorted(self._runs, found).clip(max=len(self._runs) - 1)
            if (self._runs[at] == found).any():
                return "near"
        return None


def find_converted(path: Path) -> list[Path]:
    """The file that a path is, or all that `convert` wrote of texts to a folder."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.spacy"))
    return found or [file for file in sorted(path.rglob("*.jsonl")) if file.stem != "rejects"]


def read_texts(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the texts of DocBins or, if they have no label, JSON lines, as `convert` writes them.

    Raises:
        BertZhError: There is none.
    """
    import spacy
    import srsly

    from spacy_bert_zh.files.docbins import read_docbin

    vocab = spacy.blank("zh").vocab
    for folder in folders:
        files = find_converted(folder)
        if not files:
            raise BertZhError(f"--exclude {folder} holds no .spacy file: see 'convert'")
        for file in files:
            if file.suffix == ".jsonl":
                yield from (line["text"] for line in srsly.read_jsonl(file))
                continue
            yield from (doc.text for doc in read_docbin(file, vocab))


def plain(text: str) -> str:
    """What of a text is compared: letters, digits and characters, without case."""
    return "".join(filter(str.isalnum, text.lower()))


def runs(text: str, size: int = RUN) -> NDArray[np.uint64]:
    """A hash of each stretch of `size` characters; uint64 (stretches,)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    count = max(len(codes) - size + 1, 0)
    hashes = np.zeros(count, dtype=np.uint64)
    for i in range(size):
        hashes = hashes * _BASE + codes[i : i + count]
        hashes ^= hashes >> np.uint64(29)
    return hashes
