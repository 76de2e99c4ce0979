"""SentencePiece's table of characters to replace, checked before anything reads it.

The table (``precompiled_charsmap``) is a double-array trie of UTF-8 bytes, whose leaves point
into a string of replacements. `tokenizers` trusts both: a wrong place makes it panic, in the
middle of a text that happens to lead there. So every place that a text can lead to is visited.

The layout is that of Darts-clone (Yata; https://github.com/s-yata/darts-clone) in SentencePiece's
``normalizer.cc``.
"""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 2_000_000
"""Of a table; that of XLM-R has 237,000."""
MOST_REPLACED = 256
"""Bytes that stand in the place of a character or a few."""
_SLICE = 4096  # nodes looked at together


def check_charsmap(charsmap: str) -> None:
    """Check that every text can be normalised by it.

    Args:
        charsmap: In base64, as ``tokenizer.json`` has it.

    Raises:
        ValueError: It isn't whole.
    """
    try:
        data = base64.b64decode(charsmap, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the table of characters is no base64 ({error})") from error
    size = int.from_bytes(data[:4], "little")
    if len(data) > MOST_BYTES or size % 4 or not 4 <= size <= len(data) - 4:
        raise ValueError("the table of characters is cut off, or too large")
    units = np.frombuffer(data[4 : 4 + size], "<u4").astype(np.int64)
    _check_replacements(data[4 + size :], _leaves(units))


def _leaves(units: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the leaves hold that can be reached from the root, breadth first."""
    seen = np.zeros(len(units), dtype=bool)
    nodes, found = _offset(units[:1]), [np.zeros(0, dtype=np.int64)]
    while len(nodes):
        slices = (nodes[i : i + _SLICE] for i in range(0, len(nodes), _SLICE))
        places = np.unique(np.concatenate([_children(units, part) for part in slices]))
        places = places[~seen[places]]
        seen[places] = True
        nodes = places ^ _offset(units[places])
        leaves = nodes[(units[places] >> 8) & 1 == 1]
        found.append(_units_at(units, leaves) & 0x7FFFFFFF)
    return np.unique(np.concatenate(found))


def _children(units: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the next byte leads to, whatever it is."""
    labels = np.arange(1, 256)
    places = (nodes[:, None] ^ labels).ravel()
    return places[_units_at(units, places) & 0x800000FF == np.tile(labels, len(nodes))]


def _units_at(units: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(places) and places.max() >= len(units):
        raise ValueError("the table of characters leads out of itself")
    return units[places]


def _offset(units: NDArray[np.int64]) -> NDArray[np.int64]:
    return (units >> 10) << ((units & (1 << 9)) >> 6)


def _check_replacements(text: bytes, starts: NDArray[np.int64]) -> None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the replacements are no UTF-8 ({error.reason})") from error
    for start in starts.tolist():
        end = text.find(b"\0", start)
        inside = start < len(text) and not 0x80 <= text[start] < 0xC0
        if not inside or end < 0 or end - start > MOST_REPLACED:
            raise ValueError("the table of characters points to no replacement")
