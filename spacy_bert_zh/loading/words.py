"""Words of a text, and the text without some of them."""

import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from spacy_bert_zh.characters import word_cutter

Span = tuple[int, int]
"""Start and end in characters of the raw text."""

MOST = 100
"""Words of a text; where there are more, runs of neighbours count as one."""


def find_words(text: str) -> tuple[Span, ...]:
    """The words that jieba finds, without white space; of a long text runs of them.

    Raises:
        BertZhError: jieba is not installed.
    """
    words, start = list[Span](), 0
    for word in _jieba().cut(text) if text else ():
        end = start + len(word)
        if not word.isspace():
            words.append((start, end))
        start = end
    if len(words) <= MOST:
        return tuple(words)
    cuts = [len(words) * number // MOST for number in range(MOST + 1)]
    pairs = pairwise(cuts)
    return tuple((words[first][0], words[last - 1][1]) for first, last in pairs)


def search_words(text: str) -> list[str]:
    """The words by which a text is searched for: long ones and what they are made of, too.

    In lower case and of usual width (Unicode's NFKC), without marks and white space.

    Raises:
        BertZhError: jieba is not installed.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    return [word for word in _jieba().cut_for_search(plain) if any(map(str.isalnum, word))]


def without(text: str, spans: Collection[Span]) -> str:
    """A text without some spans of it, which don't overlap."""
    kept, place = list[str](), 0
    for start, end in sorted(spans):
        kept.append(text[place:start])
        place = end
    return "".join([*kept, text[place:]])


def only(text: str, words: Sequence[Span], spans: Collection[Span]) -> str:
    """A text without all its words but some."""
    return without(text, [word for word in words if word not in spans])


@cache
def _jieba() -> Any:
    return word_cutter("explain", "Finding words")
