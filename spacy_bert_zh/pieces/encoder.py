"""Word pieces: Docs → ids, windows over long documents, batches without waste.

Uses `tokenizers` alone, so that every engine (torch, Keras, ONNX) shares it.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from tokenizers import Tokenizer

from spacy_bert_zh.pieces.texts import text_of

_HERE = Path(__file__).parent.parent
ASSETS = _HERE / "assets" if (_HERE / "assets").is_dir() else _HERE.parent / "assets"
"""What travels inside the package."""
EMBEDDED = ASSETS / "bert_small"
"""The checkpoint folder that travels inside the package."""

MAX_BATCH_PIECES = 8192
"""Word pieces of one forward pass: bounds memory whatever the batch of Docs."""

MAX_WINDOWS = 2
"""Windows that a backbone reads of a document if nothing else is said."""

# tokenizers warns in each forked child (nlp.pipe with n_process) unless this is set by then.
# Windows has no fork.
if hasattr(os, "register_at_fork") and "TOKENIZERS_PARALLELISM" not in os.environ:
    os.register_at_fork(
        before=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"),
        after_in_parent=lambda: os.environ.pop("TOKENIZERS_PARALLELISM", None),
    )

# What texts begin with, of each kind that tokenizers treat in their own way.
_BEGINNINGS = ("好", "这家店", "a", "Word", "1", "，", "-", "[", "#")

Reading = dict[str, Any]
"""How many ``pieces`` a document has, how many are read (``pieces_read``), and the ``windows``.

A classifier with a cascade adds ``answered_by``, and knows no pieces of what its network never saw.
"""


@dataclass(frozen=True)
class Batch:
    """Windows for one forward pass, one after the other, without padding.

    Attributes:
        ids: Word-piece ids; shape (pieces,).
        lengths: Pieces of each window, ascending; shape (windows,).
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def halves(self) -> tuple["Batch", "Batch"]:
        """The first and the second half of the windows."""
        middle = len(self) // 2
        cut = int(self.lengths[:middle].sum())
        first = Batch(self.ids[:cut], self.lengths[:middle])
        return first, Batch(self.ids[cut:], self.lengths[middle:])


class Documents(list[Doc]):
    """A batch on its way through a model, on which a backbone leaves what it made of it.

    Attributes:
        readings: One for each document, in their order; none where no backbone of ours read them.
        vectors: Of the documents, shape (documents, width); None as well.
    """

    readings: Sequence[Reading] = ()
    vectors: Any = None

    @cached_property
    def texts(self) -> list[str]:
        """What a classifier reads of each; spaCy puts a text together anew whenever it is asked."""
        return [text_of(doc) for doc in self]


def texts_of(docs: Sequence[Doc]) -> list[str]:
    """What a classifier reads of documents."""
    return docs.texts if isinstance(docs, Documents) else [text_of(doc) for doc in docs]


@dataclass(frozen=True)
class Encoded:
    """Documents cut into windows.

    Attributes:
        batches: All windows; the same text twice is one window, except in training.
        windows: For each window of a document, its row among those of all batches; shape
            (windows of documents,).
        docs: For each of these, the row of its document; same shape.
        readings: What is read of each document.
    """

    batches: list[Batch]
    windows: NDArray[np.int64]
    docs: NDArray[np.int64]
    readings: list[Reading]

    @property
    def size(self) -> int:
        """How many documents there are."""
        return len(self.readings)


@dataclass(frozen=True)
class PieceEncoder:
    """Cuts texts into windows of word pieces.

    Attributes:
        tokenizer: A word-piece tokenizer, see `tokenizer.load_tokenizer`.
        max_length: Pieces in a window, [CLS] and [SEP] included.
        stride: Pieces that consecutive windows share (the meaning that Hugging Face
            tokenizers give the word).
        max_windows: Windows read of one document; 0 reads them all.
        prefix: What stands in front of each text, such as E5's "query: ". Its word pieces begin
            every window, also those after a text's first, and count in `max_length`.
    """

    tokenizer: Tokenizer
    max_length: int
    stride: int
    max_windows: int = 0
    prefix: str = ""

    @cached_property
    def front(self) -> list[int]:
        """The prefix's word pieces."""
        if not self.prefix:
            return []
        # A space at its end belongs to the text, or is nothing.
        return list(self.tokenizer.encode(self.prefix.rstrip(), add_special_tokens=False).ids)

    @cached_property
    def signature(self) -> tuple[Any, ...]:
        """The same of all encoders that do the same."""
        settings = self.max_length, self.stride, self.max_windows, self.prefix
        tokenizer = hashlib.blake2b(self.tokenizer.to_str().encode()).digest()
        return (tokenizer, *settings)

    @property
    def room(self) -> int:
        """Word pieces of a text that a window has room for."""
        return self.max_length - 2 - len(self.front)

    @property
    def is_apart(self) -> bool:
        """Whether texts have the same word pieces with the prefix in front of them as without."""

        def ids(text: str) -> list[int]:
            return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

        return all(ids(self.prefix + text) == self.front + ids(text) for text in _BEGINNINGS)

    def places(self, text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Where a text's word pieces stand in it, and which of them each window holds.

        A window's last pieces are these and [SEP]; what stands before them is no part of the text.

        Args:
            text: As it is in the document, whatever the tokenizer makes of it.

        Returns:
            Of each piece (start, end) in characters, never empty; and of each window (start, end)
            in pieces. A piece that the tokenizer made of nothing stands on the character there.
        """
        encoding = self.tokenizer.encode(self.prefix + text, add_special_tokens=False)
        shared, before = _shared(self.front, encoding.ids), len(self.prefix)
        places = []
        for start, end in encoding.offsets[shared:]:
            first = min(max(start - before, 0), max(len(text) - 1, 0))
            places.append((first, min(max(end - before, first + 1), len(text))))
        return places, windows(len(places), self.room, self.stride, self.max_windows)

    def __call__(
        self,
        docs: Sequence[Doc],
        *,
        budget: int = MAX_BATCH_PIECES,
        most_padding: int | None = None,
        is_train: bool = False,
    ) -> Encoded:
        """Encode documents; one without any piece is one window [CLS], prefix, [SEP].

        Args:
            docs: The documents; only their texts are read.
            budget: Word pieces of a batch at most; a longer window stands alone.
            most_padding: For an engine that pads its batches, see `batches`.
            is_train: Each window counts, because dropout differs.
        """
        cls, sep = (self.tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
        encodings = self.tokenizer.encode_batch_fast(
            [self.prefix + text for text in texts_of(docs)], add_special_tokens=False
        )
        rows: dict[Any, list[int]] = {}
        owned: list[tuple[Any, int]] = []
        readings: list[Reading] = []
        for i, encoding in enumerate(encodings):
            # Where the text goes on with the prefix's last word, that stays as it is there.
            shared = _shared(self.front, encoding.ids)
            ids = encoding.ids[shared:]
            spans = windows(len(ids), self.room, self.stride, self.max_windows)
            for start, end in spans:
                front = self.front if start else self.front[:shared]
                window = (*front, *ids[start:end])
                key = len(owned) if is_train else window
                rows[key] = [cls, *window, sep]
                owned.append((key, i))
            readings.append(
                {"pieces": len(ids), "pieces_read": spans[-1][1], "windows": len(spans)}
            )
        keys, unique = list(rows), list(rows.values())
        groups = batches([len(row) for row in unique], budget, most_padding)
        order = {keys[index]: row for row, index in enumerate(chain.from_iterable(groups))}
        return Encoded(
            [_pack([unique[index] for index in group]) for group in groups],
            np.asarray([order[key] for key, _ in owned], dtype=np.int64),
            np.asarray([doc for _, doc in owned], dtype=np.int64),
            readings,
        )


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many of their first numbers are the same."""
    pairs = zip(left, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def pad(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A batch's ids padded with 0, and whether each is real; both of shape (windows, longest)."""
    real = np.arange(int(batch.lengths.max())) < batch.lengths[:, None]
    ids = np.zeros(real.shape, dtype=np.int64)
    ids[real] = batch.ids
    return ids, real


def windows_of(encoded: Encoded) -> NDArray[np.float32]:
    """How many windows each document has, shape (documents, 1)."""
    counts = np.bincount(encoded.docs, minlength=encoded.size)
    return counts[:, None].astype(np.float32)


def mean_over_windows(encoded: Encoded, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of windows, shape (windows of all batches, width), to those of documents."""
    sums = np.zeros((encoded.size, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, encoded.docs, vectors[encoded.windows])
    return sums / windows_of(encoded)


def shared_pieces(max_length: int, stride: int | None) -> int:
    """The stride that a setting means: None is an eighth of the window."""
    return max_length // 8 if stride is None else stride


def windows(length: int, size: int, stride: int, max_windows: int = 0) -> list[tuple[int, int]]:
    """Cut `length` pieces into spans of at most `size` that overlap by `stride`.

    Every piece is in some span unless `max_windows` (0: no limit) cuts the list.

    Returns:
        (start, end) pairs in order; one empty span for an empty document.

    Examples:
        >>> windows(10, size=6, stride=2)
        [(0, 6), (4, 10)]
        >>> windows(0, size=6, stride=2)
        [(0, 0)]
    """
    spans = [(0, min(size, length))]
    while spans[-1][1] < length and len(spans) != max_windows:
        start = spans[-1][1] - stride
        spans.append((start, min(start + size, length)))
    return spans


def batches(
    lengths: Sequence[int], budget: int, most_padding: int | None = None
) -> list[list[int]]:
    """Group indices by length so that nothing is too large.

    Args:
        lengths: Pieces of each window.
        budget: Pieces of a group at most; a longer window stands alone.
        most_padding: If the groups will be padded to their longest: that padding counts too,
            and where adding one window would pad the group by more than this, a new one begins.

    Returns:
        Each index exactly once; within a group and over groups, lengths ascend.
    """
    groups: list[list[int]] = []
    pieces = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[index]
        size, longest = (len(groups[-1]), lengths[groups[-1][-1]]) if groups else (0, 0)
        padding = size * (length - longest) if most_padding is not None else 0
        if not groups or pieces + length + padding > budget or padding > (most_padding or 0):
            groups.append([])
            pieces = padding = 0
        groups[-1].append(index)
        pieces += length + padding
    return groups


def _pack(rows: list[list[int]]) -> Batch:
    ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
    return Batch(ids, np.asarray([len(row) for row in rows], dtype=np.int64))
