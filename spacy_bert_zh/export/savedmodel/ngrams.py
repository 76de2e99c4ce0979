"""`NgramLinear` inside a TensorFlow graph: strings to logits."""

from typing import Any

import numpy as np
import tensorflow as tf

from spacy_bert_zh.export.savedmodel.characters import Rewriting, decode
from spacy_bert_zh.textcat.hashing import MIX, PRIME, SHIFT, START, NgramTable


class TextNgrams(tf.Module):
    """A linear model of hashed character n-grams; see `ngram_features`, which it follows.

    Args:
        table: Its weights.
    """

    def __init__(self, table: NgramTable) -> None:
        super().__init__()
        self.folded = Rewriting(str.casefold)
        # A variable: constants would fill the graph, which must stay below 2 GB.
        self.weights = tf.Variable(table.weights, trainable=False)
        self.keys: Any = None
        if table.keys is not None:
            self.keys = tf.Variable(table.keys, trainable=False)
        self.length, self.ngram_size = table.length, table.ngram_size

    def __call__(self, texts: Any) -> Any:
        """UTF-8 strings, shape (texts,), to logits, shape (texts, labels); 0 for an empty text."""
        size = tf.size(texts)
        with tf.device("CPU"):  # where strings are, and arithmetic of 64 bits without a sign
            owners, rows, counts = self._counted(*self.folded(*decode(texts)))
            scores = 1.0 + tf.math.log(tf.cast(counts, tf.float64))
            norms = tf.sqrt(tf.math.unsorted_segment_sum(scores**2, owners, size))
            scores = tf.cast(scores / tf.gather(norms, owners), tf.float32)
            if self.keys is not None:
                known, rows = self._known(rows)
                owners, scores = tf.gather(owners, known), tf.gather(scores, known)
        found = tf.gather(self.weights, rows) * scores[:, None]
        return tf.math.unsorted_segment_sum(found, owners, size)

    def _counted(self, codes: Any, owners: Any) -> tuple[Any, Any, Any]:
        """Each different n-gram of each text: the text's row, the hash value, how many."""
        codes, owners = tf.cast(codes, tf.uint64), tf.cast(owners, tf.int64)
        first, hashes, keys = owners, tf.fill(tf.shape(codes), tf.constant(START)), []
        for size in range(1, self.ngram_size + 1):
            hashes = hashes * PRIME + codes[size - 1 :]
            mixed = _shifted(_shifted(hashes) * MIX)
            rows = tf.cast(mixed % np.uint64(self.length), tf.int64)
            keys.append((first * self.length + rows)[first == owners[size - 1 :]])
            first, hashes = first[:-1], hashes[:-1]
        keys, _, counts = tf.unique_with_counts(tf.concat(keys, axis=0))
        return keys // self.length, keys % self.length, counts

    def _known(self, hashes: Any) -> tuple[Any, Any]:
        """The places of hash values that have a row, and the rows; see `find_rows`."""
        hashes = tf.cast(hashes, self.keys.dtype)
        # One more than there are, of no hash value: so that the last place is one, too.
        keys = tf.concat([self.keys, [-1]], axis=0)
        rows = tf.searchsorted(self.keys, hashes)
        known = tf.where(tf.gather(keys, rows) == hashes)[:, 0]
        return known, tf.gather(rows, known)


def _shifted(hashes: Any) -> Any:
    return tf.bitwise.bitwise_xor(hashes, tf.bitwise.right_shift(hashes, SHIFT))
