"""`PieceEncoder` inside a TensorFlow graph: strings to windows of word pieces.

The pieces are those of the `tokenizers` package, found by TensorFlow's own operations alone, so
that a SavedModel takes raw text wherever it is loaded. They can differ in one rare case: where
a normalizer that strips accents keeps two marks after one letter (old tone marks of Hangul,
musical signs, some young scripts), Unicode's order may swap these; here they stay.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tokenizers import Tokenizer

from spacy_bert_zh.backbones.keras_characters import (
    CONTINUED,
    UNICODE,
    Rewriting,
    Trie,
    Words,
    changes,
    decode,
    longest,
    passed,
)
from spacy_bert_zh.errors import BertZhError


class TextPieces(tf.Module):
    """Cuts texts into windows of word pieces, as `PieceEncoder` does.

    Args:
        tokenizer: BERT's steps around a WordPiece or a unigram model, see `load_tokenizer`.
        max_length: Pieces in a window, [CLS] and [SEP] included.
        stride: Pieces that consecutive windows share.
        max_windows: Windows read of one text; 0 reads them all.

    Raises:
        BertZhError: The tokenizer has a step that isn't known here.
    """

    def __init__(
        self, tokenizer: Tokenizer, max_length: int, stride: int, max_windows: int
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
        self.cls, self.sep = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
        self.size, self.step, self.most = max_length - 2, max_length - 2 - stride, max_windows

    def __call__(self, texts: Any) -> tuple[Any, Any, Any]:
        """Encode UTF-8 strings; a text without any piece is one window [CLS] [SEP].

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
        # Column 0 is for [CLS], the one after the last piece for [SEP].
        columns = tf.range(tf.maximum(tf.reduce_max(lengths), 0) + 2)
        inside = (columns > 0) & (columns <= lengths)
        places = tf.where(inside, begins[:, None] + columns - 1, tf.size(ids))
        pieces = tf.gather(tf.concat([ids, [0]], axis=0), places)
        pieces = tf.where(columns == 0, self.cls, pieces)
        pieces = tf.where(columns == lengths + 1, self.sep, pieces)
        return pieces, lengths[:, 0] + 2, owners


class SpelledOut(tf.Module):
    """Special pieces that a text spells out become one number each, `UNICODE` + id.

    Args:
        pieces: The special pieces and their ids.
    """

    def __init__(self, pieces: Mapping[str, int]) -> None:
        super().__init__()
        self.trie = Trie({_codes(piece): id for piece, id in pieces.items()})

    def __call__(self, codes: Any, rows: Any) -> tuple[Any, Any]:
        """Code points and their texts' rows, before to after."""
        starts = changes(rows)
        lengths, ids = longest(self.trie(codes, starts, tf.ones_like(codes)))
        met = passed(starts, tf.range(tf.size(codes)) + tf.maximum(lengths, 1))
        kept = tf.where(met)[:, 0]
        codes = tf.where(lengths > 0, UNICODE + ids, codes)
        return tf.gather(codes, kept), tf.gather(rows, kept)


class WordPiece(tf.Module):
    """The longest piece that fits, again and again (MaxMatch; Song et al. 2021, section 1).

    A word that has no such pieces to its end, or too many characters, is unknown as a whole.

    Args:
        model: The model's part of a ``tokenizer.json``.
        special: Code points and ids of more pieces.
    """

    def __init__(self, model: Mapping[str, Any], special: Mapping[tuple[int, ...], int]) -> None:
        super().__init__()
        vocab, prefix = model["vocab"], model["continuing_subword_prefix"]
        pieces = {_codes(piece): id for piece, id in vocab.items() if piece}
        for piece, id in vocab.items():
            if piece.startswith(prefix) and piece != prefix:
                pieces[CONTINUED, *_codes(piece.removeprefix(prefix))] = id
        self.trie = Trie({**pieces, **special})
        self.unknown, self.most = vocab[model["unk_token"]], model["max_input_chars_per_word"]

    def __call__(self, codes: Any, starts: Any) -> tuple[Any, Any]:
        """Code points and whether each starts a word, to ids and the places they begin at."""
        roots = tf.where(starts, 1, self.trie.continued)
        lengths, ids = longest(self.trie(codes, starts, roots))
        places = tf.range(tf.size(codes))
        met = passed(starts, places + lengths)
        words = tf.cumsum(tf.cast(starts, tf.int32)) - 1
        first = tf.cast(tf.where(starts)[:, 0], tf.int32)
        bad = (met & (lengths == 0)) | (places - tf.gather(first, words) >= self.most)
        bad = tf.math.unsorted_segment_max(tf.cast(bad, tf.int32), words, tf.size(first))
        bad = tf.gather(bad, words) > 0
        kept = tf.where(tf.where(bad, starts, met))[:, 0]
        return tf.gather(tf.where(bad, self.unknown, ids), kept), kept


class Unigram(tf.Module):
    """The pieces of the highest total score (Kudo 2018, section 3.2), the same to the last bit.

    Args:
        model: The model's part of a ``tokenizer.json``.
        special: Code points and ids of more pieces.
    """

    def __init__(self, model: Mapping[str, Any], special: Mapping[tuple[int, ...], int]) -> None:
        super().__init__()
        ids = {piece: id for id, (piece, _) in enumerate(model["vocab"])}
        self.trie = Trie({**{_codes(piece): id for piece, id in ids.items() if piece}, **special})
        scores = [score for _, score in model["vocab"]]
        stray = min(scores) - 10.0
        # What is spelled out may have ids beyond; its score doesn't matter, as it stands alone.
        scores += [0.0] * (1 + max(special.values(), default=0) - len(scores))
        self.unknown, self.stray = model["unk_id"], len(scores)
        # Of no piece, of each one, and of a character that is none.
        self.scores = tf.constant([-np.inf, *scores, stray], tf.float64)

    def __call__(self, codes: Any, starts: Any) -> tuple[Any, Any]:
        """Code points and whether each starts a word, to ids and the places they begin at."""
        size = tf.size(codes)
        found = tf.unstack(self.trie(codes, starts, tf.ones_like(codes)), axis=1)
        found[0] = tf.where(found[0] < 0, self.stray, found[0])
        # By the place where they end.
        found = [tf.concat([tf.fill([k], -1), ids], axis=0)[:size] for k, ids in enumerate(found)]
        ids = tf.stack(found, axis=1)
        lengths = self._best(tf.gather(self.scores, ids + 1), starts)
        ids = tf.gather(ids, lengths - 1, batch_dims=1)
        ids = tf.where(ids == self.stray, self.unknown, ids)
        before = tf.range(size) - lengths
        ends = tf.concat([starts[1:], [True]], axis=0)[:size]
        kept = tf.where(passed(ends, tf.where(before < 0, size, before)))[:, 0]
        ids, places = tf.gather(ids, kept), tf.gather(before + 1, kept)
        # Unknown ones that follow one another in a word are one.
        single = (ids != self.unknown) | changes(ids) | tf.gather(starts, places)
        return ids[single], places[single]

    def _best(self, scores: Any, starts: Any) -> Any:
        """Viterbi's algorithm: all words at once, one character after the other.

        Args:
            scores: Of the pieces of 1, 2, … characters that end at each place.
            starts: Whether each place starts a word.

        Returns:
            Length of the last piece on the best way to each place; of equal ones the longest.
        """
        first = tf.cast(tf.where(starts)[:, 0], tf.int32)
        sizes = tf.concat([first[1:], [tf.size(starts)]], axis=0)[: tf.size(first)] - first
        order = tf.argsort(sizes, direction="DESCENDING")
        first, sizes = tf.gather(first, order), tf.gather(sizes, order)
        rounds = tf.maximum(tf.reduce_max(sizes), 1)
        lengths = tf.range(1, self.trie.longest + 1)

        def advance(nth: Any, recent: Any, found: Any) -> tuple[Any, Any, Any]:
            going = tf.math.count_nonzero(sizes > nth, dtype=tf.int32)
            here = first[:going] + nth
            totals = recent[:going] + tf.gather(scores, here)
            best = tf.reduce_max(totals, axis=1, keepdims=True)
            length = tf.reduce_max(tf.where(totals == best, lengths, 0), axis=1)
            found = found.write(nth, tf.stack([here, length], axis=1))
            return nth + 1, tf.concat([best, recent[:going]], axis=1)[:, :-1], found

        # Totals 1, 2, … characters ago; before a word's first one there is no way.
        recent = tf.where(lengths == 1, tf.constant(0, tf.float64), -np.inf)
        recent = tf.tile(recent[None], [tf.size(first), 1])
        found = tf.TensorArray(tf.int32, rounds, infer_shape=False, element_shape=[None, 2])
        _, _, found = tf.while_loop(lambda nth, *_: nth < rounds, advance, (0, recent, found))
        places, chosen = tf.unstack(found.concat(), axis=1)
        return tf.scatter_nd(places[:, None], chosen, tf.shape(starts))


_MODELS = {"WordPiece": WordPiece, "Unigram": Unigram}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def _codes(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


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
