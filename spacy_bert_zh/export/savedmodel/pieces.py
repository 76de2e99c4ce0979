"""`PieceEncoder` inside a TensorFlow graph: strings to windows of word pieces.

The pieces are those of the `tokenizers` package, found by TensorFlow's own operations alone, so
that a SavedModel takes raw text wherever it is loaded. They can differ in one rare case: where
a normalizer that strips accents keeps two marks after one letter (old tone marks of Hangul,
musical signs, some young scripts), Unicode's order may swap these; here they stay.
"""

import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tokenizers import Tokenizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.savedmodel.characters import (
    UNICODE,
    Rewriting,
    Trie,
    Words,
    changes,
    decode,
    longest,
    passed,
)
from spacy_bert_zh.export.savedmodel.segmentation import Unigram, WordPiece, codes_of
from spacy_bert_zh.pieces import PieceEncoder


class TextPieces(tf.Module):
    """Cuts texts into windows of word pieces, as `PieceEncoder` does.

    Args:
        tokenizer: BERT's steps around a WordPiece or a unigram model, see `load_tokenizer`.
        max_length: Pieces in a window, [CLS] and [SEP] included.
        stride: Pieces that consecutive windows share.
        max_windows: Windows read of one text; 0 reads them all.
        prefix: Stands in front of each text; its pieces begin every window.

    Raises:
        BertZhError: The tokenizer has a step that isn't known here.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        stride: int,
        max_windows: int,
        prefix: str = "",
    ) -> None:
        super().__init__()
        parts = json.loads(tokenizer.to_str())
        _check(parts)
        added = {token["content"]: token["id"] for token in parts["added_tokens"]}
        special: dict[tuple[int, ...], int] = {(UNICODE + id,): id for id in added.values()}
        self.spelled_out = SpelledOut(added)
        normalizer = tokenizer.normalizer
        self.normalized = Rewriting(normalizer.normalize_str if normalizer else str)
        self.words = Words()
        self.model: Any = _MODELS[parts["model"]["type"]](parts["model"], special)
        encoder = PieceEncoder(tokenizer, max_length, stride, max_windows, prefix)
        if not encoder.is_apart:
            raise BertZhError(
                f"TensorFlow can't put the prefix {prefix!r} in front of texts: it takes one that "
                "ends with a space or a sign of punctuation"
            )
        cls, self.sep = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
        self.head = tf.constant([cls, *encoder.front], tf.int32)
        self.size, self.step, self.most = encoder.room, encoder.room - stride, max_windows

    def __call__(self, texts: Any) -> tuple[Any, Any, Any]:
        """Encode UTF-8 strings; a text without any piece is one window [CLS], [SEP].

        Args:
            texts: Shape (texts,).

        Returns:
            Piece ids, padded with 0, shape (windows, longest); the windows' lengths and the
            rows of their texts, shape (windows,). All are int32.
        """
        with tf.device("CPU"):  # where strings are; the rest is not worth the way
            codes, rows = self.normalized(*self.spelled_out(*decode(texts)))
            codes, rows, starts = self.words(codes, rows)
            ids, places = self.model(codes, starts)
            return self._windows(ids, tf.gather(rows, places), tf.size(texts))

    def _windows(self, ids: Any, rows: Any, texts: Any) -> tuple[Any, Any, Any]:
        counts = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, texts)
        numbers = 1 + tf.maximum(counts - self.size + self.step - 1, 0) // self.step
        numbers = tf.minimum(numbers, self.most) if self.most else numbers
        owners = tf.repeat(tf.range(texts), numbers)
        nth = tf.range(tf.size(owners)) - tf.gather(tf.cumsum(numbers, exclusive=True), owners)
        lengths = tf.minimum(tf.gather(counts, owners) - nth * self.step, self.size)[:, None]
        begins = tf.gather(tf.cumsum(counts, exclusive=True), owners) + nth * self.step
        # First columns are for [CLS] and the prefix, the one after the last piece for [SEP].
        first = tf.size(self.head)
        columns = tf.range(tf.maximum(tf.reduce_max(lengths), 0) + first + 1)
        inside = (columns >= first) & (columns < lengths + first)
        places = tf.where(inside, begins[:, None] + columns - first, tf.size(ids))
        pieces = tf.gather(tf.concat([ids, [0]], axis=0), places)
        head = tf.gather(self.head, tf.minimum(columns, first - 1))
        pieces = tf.where(columns < first, head, pieces)
        pieces = tf.where(columns == lengths + first, self.sep, pieces)
        return pieces, lengths[:, 0] + first + 1, owners


class SpelledOut(tf.Module):
    """Special pieces that a text spells out become one number each, `UNICODE` + id.

    Args:
        pieces: The special pieces and their ids.
    """

    def __init__(self, pieces: Mapping[str, int]) -> None:
        super().__init__()
        self.trie = Trie({codes_of(piece): id for piece, id in pieces.items()})

    def __call__(self, codes: Any, rows: Any) -> tuple[Any, Any]:
        """Code points and their texts' rows, before to after."""
        starts = changes(rows)
        lengths, ids = longest(self.trie(codes, starts, tf.ones_like(codes)))
        met = passed(starts, tf.range(tf.size(codes)) + tf.maximum(lengths, 1))
        kept = tf.where(met)[:, 0]
        codes = tf.where(lengths > 0, UNICODE + ids, codes)
        return tf.gather(codes, kept), tf.gather(rows, kept)


_MODELS = {"WordPiece": WordPiece, "Unigram": Unigram}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def _check(parts: Mapping[str, Any]) -> None:
    """Refuse what would be cut in another way here."""
    model, flags = parts["model"], [t[flag] for t in parts["added_tokens"] for flag in _FLAGS]
    normalizer = (parts["normalizer"] or {}).get("type", "BertNormalizer")
    splitter = (parts["pre_tokenizer"] or {}).get("type")
    known = {
        f"the normalizer {normalizer}": normalizer == "BertNormalizer",
        f"the pre-tokenizer {splitter}": splitter == "BertPreTokenizer",
        f"the model {model['type']}": model["type"] in _MODELS,
        "byte fallback": not model.get("byte_fallback"),
        "no unknown piece": model.get("unk_id") is not None
        or model.get("unk_token") in model["vocab"],
        f"added pieces that are {' or '.join(_FLAGS)}": not any(flags),
    }
    for what, is_known in known.items():
        if not is_known:
            raise BertZhError(
                f"TensorFlow can't cut texts as a tokenizer with {what} does: it takes "
                "BertNormalizer, BertPreTokenizer, and a WordPiece or Unigram model"
            )
