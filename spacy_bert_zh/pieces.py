"""Word pieces: Docs → ids, windows over long documents, batches without waste.

Uses `tokenizers` alone, so that every engine (torch, Keras, ONNX) shares it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from spacy_bert_zh.errors import BertZhError

_HERE = Path(__file__).parent
_ASSETS = _HERE / "assets" if (_HERE / "assets").is_dir() else _HERE.parent / "assets"
EMBEDDED = _ASSETS / "bert_small"
"""The checkpoint folder that travels inside the package."""

MAX_BATCH_PIECES = 8192
"""Padded word pieces of one forward pass: bounds memory whatever the batch of Docs."""

CPU_PASS_COST = 64
"""What a forward pass costs on a CPU besides its pieces, in pieces."""

# The last one only pretraining needs.
_SPECIAL = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")

# tokenizers warns in each forked child (nlp.pipe with n_process) unless this is set by then.
if "TOKENIZERS_PARALLELISM" not in os.environ:
    os.register_at_fork(
        before=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"),
        after_in_parent=lambda: os.environ.pop("TOKENIZERS_PARALLELISM", None),
    )

if not Doc.has_extension("bert_textcat"):
    Doc.set_extension("bert_textcat", default=None)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read the word-piece tokenizer of a BERT checkpoint folder.

    Takes ``tokenizer.json``, or builds BERT's own steps (Devlin et al. 2019) around
    ``vocab.txt``, lower-casing as ``tokenizer_config.json`` says (yes, if it doesn't).

    Args:
        folder: A checkpoint in the Hugging Face layout.

    Raises:
        BertZhError: No readable vocabulary there, or one without the special pieces.
    """
    whole, vocab = folder / "tokenizer.json", folder / "vocab.txt"
    if whole.exists():
        tokenizer = _from_json(whole)
    elif vocab.exists():
        tokenizer = _from_vocabulary(vocab, folder / "tokenizer_config.json")
    else:
        raise BertZhError(f"No vocabulary in {folder}: expected vocab.txt or tokenizer.json")
    for piece in _SPECIAL[:4]:
        if tokenizer.token_to_id(piece) is None:
            raise BertZhError(f"The vocabulary in {folder} lacks the special piece {piece}")
    return tokenizer


def _from_json(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing finer
        raise BertZhError(f"{path} can't be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_vocabulary(path: Path, settings_path: Path) -> Tokenizer:
    try:
        lines = path.read_text("utf-8").rstrip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise BertZhError(f"{path} is not UTF-8: {error}") from error
    vocab = {line: i for i, line in enumerate(lines)}
    settings = read_json(settings_path) if settings_path.exists() else {}
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    # A text that spells one out has it as one piece, as in transformers.
    tokenizer.add_special_tokens([piece for piece in _SPECIAL if piece in vocab])
    return tokenizer


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BertZhError: The file holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BertZhError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise BertZhError(f"{path} is not a JSON object")
    return content


@dataclass(frozen=True)
class Batch:
    """Windows of nearly equal length, ready for one forward pass.

    Attributes:
        ids: Word-piece ids, padded; shape (windows, pieces).
        mask: 1 where there is a piece, 0 on padding; shape (windows, pieces).
        docs: For each window, the row of its document; shape (windows,).
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    docs: NDArray[np.int64]


@dataclass(frozen=True)
class PieceEncoder:
    """Cuts texts into windows of word pieces.

    Attributes:
        tokenizer: A word-piece tokenizer, see `load_tokenizer`.
        max_length: Pieces in a window, [CLS] and [SEP] included.
        stride: Pieces that consecutive windows share (the meaning that Hugging Face
            tokenizers give the word).
        max_windows: Windows read of one document; 0 reads them all.
    """

    tokenizer: Tokenizer
    max_length: int
    stride: int
    max_windows: int = 0

    def __call__(
        self, docs: Sequence[Doc], *, pass_cost: int = CPU_PASS_COST, note: bool = False
    ) -> list[Batch]:
        """Encode documents; a document without any piece is one window [CLS] [SEP].

        Args:
            docs: The documents; only their texts are read.
            pass_cost: See `batches`.
            note: Whether to leave ``doc._.bert_textcat`` on each document: how many
                pieces it has, how many were read, in how many windows.
        """
        cls, sep, pad = (self.tokenizer.token_to_id(p) for p in ("[CLS]", "[SEP]", "[PAD]"))
        encodings = self.tokenizer.encode_batch_fast(
            [doc.text for doc in docs], add_special_tokens=False
        )
        rows: list[list[int]] = []
        owners: list[int] = []
        for i, (doc, encoding) in enumerate(zip(docs, encodings, strict=True)):
            ids = encoding.ids
            spans = windows(len(ids), self.max_length - 2, self.stride, self.max_windows)
            rows.extend([cls, *ids[start:end], sep] for start, end in spans)
            owners.extend([i] * len(spans))
            if note:
                doc._.bert_textcat = {
                    "pieces": len(ids),
                    "pieces_read": spans[-1][1],
                    "windows": len(spans),
                }
        groups = batches([len(row) for row in rows], MAX_BATCH_PIECES, pass_cost)
        return [_pad([rows[i] for i in group], [owners[i] for i in group], pad) for group in groups]


def windows(length: int, size: int, stride: int, max_windows: int = 0) -> list[tuple[int, int]]:
    """Cut `length` pieces into spans of at most `size` that overlap by `stride`.

    Every piece is in some span unless `max_windows` (0: no limit) cuts the list.

    Returns:
        (start, end) pairs in order; one empty span for an empty document.
    """
    spans = [(0, min(size, length))]
    while spans[-1][1] < length and len(spans) != max_windows:
        start = spans[-1][1] - stride
        spans.append((start, min(start + size, length)))
    return spans


def batches(lengths: Sequence[int], budget: int, pass_cost: int) -> list[list[int]]:
    """Group indices by length so that little is padded and nothing is too large.

    Args:
        lengths: Pieces of each window.
        budget: Padded pieces of a group at most; a longer window stands alone.
        pass_cost: How much padding is worth one forward pass less, in pieces.

    Returns:
        Each index exactly once; within a group and over groups, lengths ascend.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[index]
        size, longest = (len(groups[-1]), lengths[groups[-1][-1]]) if groups else (0, 0)
        padding = size * (length - longest)
        if not groups or (size + 1) * length > budget or padding > pass_cost:
            groups.append([])
        groups[-1].append(index)
    return groups


def _pad(rows: list[list[int]], owners: list[int], pad: int) -> Batch:
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return Batch(ids, mask, np.asarray(owners, dtype=np.int64))
