"""Models that cut a word into pieces, as TensorFlow graphs: WordPiece and unigram."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from spacy_bert_zh.export.savedmodel.characters import CONTINUED, Trie, changes, longest, passed


def codes_of(text: str) -> tuple[int, ...]:
    """The code points of a text."""
    return tuple(map(ord, text))


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
        pieces = {codes_of(piece): id for piece, id in vocab.items() if piece}
        for piece, id in vocab.items():
            if piece.startswith(prefix) and piece != prefix:
                pieces[CONTINUED, *codes_of(piece.removeprefix(prefix))] = id
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
        self.trie = Trie({**{codes_of(piece): id for piece, id in ids.items() if piece}, **special})
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
