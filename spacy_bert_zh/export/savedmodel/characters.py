"""Characters by TensorFlow's own operations alone: decoded, rewritten, cut into words, matched.

Texts lie one after the other as code points, shape (characters,), with the row of the text of
each. Whatever depends on a character alone is read from a table of all of Unicode, made by the
very function that does it in Python; so a saved graph needs neither that function nor its data.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import BertPreTokenizer

UNICODE = 0x110000
"""Beyond all code points; from here on a number stands for a whole special piece."""
CONTINUED = (1 << 21) - 2
"""No code point: what pieces begin with that continue a word."""

_PAGE = 256
_NOWHERE = (1 << 21) - 1
_SELF = -1  # in a replacement: the character itself
_ALONE, _SPACE, _KEPT = range(3)  # special pieces, beyond the table, are alone


def decode(texts: Any) -> tuple[Any, Any]:
    """UTF-8 strings, shape (texts,), to code points and their texts' rows, (characters,) both.

    What is not UTF-8 becomes U+FFFD.
    """
    decoded = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")
    return decoded.flat_values, tf.cast(decoded.value_rowids(), tf.int32)


def changes(rows: Any) -> Any:
    """Whether each row differs from the one before, as the first does; booleans, same shape."""
    return tf.concat([[True], rows[1:] != rows[:-1]], axis=0)[: tf.size(rows)]


class Table(tf.Module):
    """A number for each code point; equal pages of it are kept once.

    Args:
        values: One for each code point; what lies beyond them counts as 0.
    """

    def __init__(self, values: NDArray[np.int32]) -> None:
        super().__init__()
        pages = np.append(values, np.zeros(_PAGE, np.int32)).reshape(-1, _PAGE)
        kept, places = np.unique(pages, axis=0, return_inverse=True)
        self.pages = tf.constant(kept.ravel())
        self.places = tf.constant(places.ravel(), tf.int32)

    def __call__(self, codes: Any) -> Any:
        """Code points to their numbers, same shape."""
        codes = tf.minimum(codes, UNICODE)
        return tf.gather(self.pages, tf.gather(self.places, codes // _PAGE) * _PAGE + codes % _PAGE)


class Rewriting(tf.Module):
    """A function that replaces each character, whatever stands beside it, by some others.

    Args:
        function: Strings to strings.
    """

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        replacements: dict[tuple[int, ...], int] = {(_SELF,): 0}
        which = np.zeros(UNICODE, np.int32)
        for code, new in _rewritten(function):
            replacement = tuple(_SELF if ord(c) == code else ord(c) for c in new)
            which[code] = replacements.setdefault(replacement, len(replacements))
        self.which = Table(which)
        self.replacements = tf.ragged.constant(list(replacements), tf.int32)

    def __call__(self, codes: Any, rows: Any) -> tuple[Any, Any]:
        """Code points and their texts' rows, before to after."""
        found = tf.gather(self.replacements, self.which(codes))
        sources, new = found.value_rowids(), found.flat_values
        return tf.where(new == _SELF, tf.gather(codes, sources), new), tf.gather(rows, sources)


def _rewritten(function: Callable[[str], str]) -> list[tuple[int, str]]:
    """The code points that change, each with what it becomes."""
    changed = []
    for start in range(0, UNICODE, _PAGE):
        if 0xD800 <= start < 0xE000:  # no text in UTF-8 has surrogates
            continue
        page = "".join(map(chr, range(start, start + _PAGE)))
        together = function(page)
        if not together:
            changed += [(ord(c), "") for c in page]
        elif together != page:
            changed += [(ord(c), new) for c in page if (new := function(c)) != c]
    return changed


class Words(tf.Module):
    """The words of `BertPreTokenizer`: spaces part them, a sign of punctuation is one by itself."""

    def __init__(self) -> None:
        super().__init__()
        kinds = np.full(UNICODE, _KEPT, np.int32)
        for code, new in _rewritten(_parted):
            kinds[code] = _ALONE if new else _SPACE
        self.kinds = Table(kinds)

    def __call__(self, codes: Any, rows: Any) -> tuple[Any, Any, Any]:
        """Drop what is in no word.

        Returns:
            Code points, their texts' rows, and whether each is the first of its word.
        """
        kinds = self.kinds(codes)
        after_letter = tf.concat([[_SPACE], kinds], axis=0)[:-1] == _KEPT
        starts = changes(rows) | (kinds != _KEPT) | ~after_letter
        kept = tf.where(kinds != _SPACE)[:, 0]
        return tf.gather(codes, kept), tf.gather(rows, kept), tf.gather(starts, kept)


def _parted(text: str) -> str:
    """Without spaces, but with one after what is always a word by itself."""
    words = BertPreTokenizer().pre_tokenize_str(text + "a")
    return " ".join(word for word, _ in words).removesuffix("a")


class Trie(tf.Module):
    """Pieces by their code points.

    A node is a prefix of some piece; its key is its parent and its last code point. Node 0 is
    nowhere, node 1 the empty prefix.

    Args:
        pieces: Code points of each piece to its id.
    """

    def __init__(self, pieces: Mapping[tuple[int, ...], int]) -> None:
        super().__init__()
        prefixes = {piece[:end] for piece in pieces for end in range(1, len(piece) + 1)}
        # Shorter ones first: then the keys, with parents numbered in this order, ascend.
        order = [(), *sorted(prefixes, key=lambda prefix: (len(prefix), prefix))]
        nodes = {prefix: node for node, prefix in enumerate(order, start=1)}
        keys = [nodes[prefix[:-1]] << 21 | prefix[-1] for prefix in order[1:]]
        self.keys = tf.constant([*keys, np.iinfo(np.int64).max], tf.int64)
        self.ids = tf.constant([-1, *(pieces.get(prefix, -1) for prefix in order)], tf.int32)
        self.continued = nodes.get((CONTINUED,), 0)
        self.longest = max((len(piece) - (piece[0] == CONTINUED) for piece in pieces), default=1)

    def __call__(self, codes: Any, starts: Any, roots: Any) -> Any:
        """Find the pieces that begin at each place and stay in its word.

        Args:
            codes: Code points; shape (characters,).
            starts: Whether each is the first of a word; same shape.
            roots: The node that each place begins at; same shape.

        Returns:
            Ids of the pieces of 1, 2, … characters, -1 for none; shape (characters, longest).
        """
        size = tf.size(codes)
        ahead = tf.where(starts, _NOWHERE, codes)
        ahead = tf.concat([ahead, tf.fill([self.longest], _NOWHERE)], axis=0)
        nodes = self._below(roots, codes)
        found = [tf.gather(self.ids, nodes)]
        for length in range(1, self.longest):
            nodes = self._below(nodes, ahead[length : length + size])
            found.append(tf.gather(self.ids, nodes))
        return tf.stack(found, axis=1)

    def _below(self, nodes: Any, codes: Any) -> Any:
        wanted = tf.cast(nodes, tf.int64) * (1 << 21) + tf.cast(codes, tf.int64)
        places = tf.searchsorted(self.keys, wanted)
        return tf.where(tf.gather(self.keys, places) == wanted, places + 2, 0)


def longest(ids: Any) -> tuple[Any, Any]:
    """Of the pieces that begin at each place: the longest one's length (0: none) and id."""
    lengths = tf.reduce_max(tf.where(ids >= 0, tf.range(1, tf.shape(ids)[1] + 1), 0), axis=1)
    return lengths, tf.gather(ids, tf.maximum(lengths - 1, 0), batch_dims=1)


def passed(seeds: Any, following: Any) -> Any:
    """Which places some walk passes, all at once by jumps that double (Wyllie 1979).

    Args:
        seeds: Whether a walk begins at each place; shape (places,).
        following: The place after each; their number for none. Same shape.
    """
    size = tf.size(following)
    marks = tf.concat([tf.cast(seeds, tf.int32), [0]], axis=0)
    jumps = tf.concat([following, [size]], axis=0)

    def double(marks: Any, jumps: Any, _: Any) -> tuple[Any, Any, Any]:
        more = tf.maximum(marks, tf.math.unsorted_segment_max(marks, jumps, size + 1))
        return more, tf.gather(jumps, jumps), tf.reduce_any(more != marks)

    marks, _, _ = tf.while_loop(lambda *state: state[2], double, (marks, jumps, True))
    return marks[:-1] > 0
