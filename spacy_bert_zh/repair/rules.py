"""What undoes changes that have one inverse: a rule for each kind, a text in and a text out.

None of them changes plain Chinese or English. Where a change might have been meant, as a space
between two characters, the counts of the training's texts decide.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

from spacy_bert_zh.characters import (
    common,
    compatible_forms,
    is_chinese,
    opencc,
    other_forms,
)
from spacy_bert_zh.reading import CHINESE_PUNCTUATION, visible
from spacy_bert_zh.repair.alike import LIKELIER, Restorer
from spacy_bert_zh.repair.counts import Counts

MOST_ROUNDS = 8
CLEARLY = 100
"""So many times likelier the undone form must be than the other."""
MOST_REPEATS = 3

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
# Variation selectors, and letters of other scripts that are blank.
_UNSEEN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u115f\u1160\u3164\uffa0\u2800]")
# What is left of these after composition has no letter that a language would put it on.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
_REPEATS = re.compile(rf"([{_HAN}！？。!?])\1{{2,}}")
# Sentences need these.
_POINTS = re.escape("，。！？；：“”‘’《》〈〉「」『』（）【】—…,!?;:()[]\"'")
_BETWEEN = re.compile(rf"(?<=[{_HAN}])(?:(?![{_POINTS}\n])\W|_){{1,3}}(?=[{_HAN}])")
# Three characters or more with a gap after each.
_SPACED = re.compile(rf"(?<![{_HAN}])[{_HAN}](?:[ *_|~^#•]{{1,3}}[{_HAN}]){{2,}}(?![{_HAN}])")
_LONE = re.compile("([\ud800-\udfff]+)")
_GAP = re.compile(r"[ *_|~^#•]+")

Rule = Callable[[str], str]


class Repairer:
    """All rules, one after another until nothing changes.

    Args:
        counts: Of the training's texts; without them only what is certain is undone.
        simplify: Whether traditional characters become simplified ones.
        clearly: Of characters that sound or look like others; see `Restorer`.

    Raises:
        BertZhError: OpenCC is not installed, and traditional characters are to be simplified.

    Examples:
        >>> Repairer()("加\\u200b微信：ＡＢ１２")
        ('加微信：AB12', ['invisible', 'width'])
    """

    def __init__(
        self, counts: Counts | None = None, simplify: bool = False, clearly: float = LIKELIER
    ) -> None:
        self.rules: dict[str, Rule] = {"invisible": drop_invisible, "width": narrow}
        if simplify:
            self.rules["traditional"] = make_simplifier()
        self.rules["wedged"] = lambda text: join_spaced(join_wedged(text, counts))
        self.rules["repeats"] = lambda text: shorten_repeats(text, counts)
        if counts is not None and counts.joined:
            self.rules["split"] = lambda text: join_split(text, counts)
        if counts is not None and counts.alike:
            self.rules["alike"] = Restorer(counts, clearly)

    def __call__(self, text: str) -> tuple[str, list[str]]:
        """A repaired text, and the names of the rules that have changed something."""
        changed: dict[str, None] = {}
        for _ in range(MOST_ROUNDS):  # what one rule undoes may show another what to undo
            before = text
            for name, rule in self.rules.items():
                undone = rule(text)
                if undone != text:
                    text, changed[name] = undone, None
            if text == before:
                break
        return text, list(changed)


def drop_invisible(text: str) -> str:
    """Drop zero-width and control characters, variation selectors, marks that fit no letter."""
    composed = unicodedata.normalize("NFC", _UNSEEN.sub("", visible(text)))
    return _MARKS.sub("", composed)


def narrow(text: str) -> str:
    """Make single characters of compatibility plain, but for Chinese punctuation."""
    return text.translate(_plain_forms())


@cache
def _plain_forms() -> Mapping[int, str]:
    forms = {ord(form): plain for plain, forms in compatible_forms().items() for form in forms}
    kept = {ord(form): form for form in CHINESE_PUNCTUATION}
    return {**forms, 0x3000: " ", **kept}


def make_simplifier() -> Rule:
    """OpenCC's way back to simplified characters, regional forms included.

    Raises:
        BertZhError: OpenCC is not installed.
    """
    convert = opencc("t2s", "convert", "zh_repair with simplify = true")
    usual = set(common())
    regional = {
        ord(form): plain
        for plain, forms in other_forms().items()
        for form in forms
        if len(form) == 1 and form not in usual
    }

    def simplify(text: str) -> str:
        parts = _LONE.split(text)  # OpenCC takes no half of a character
        parts[::2] = map(convert, parts[::2])
        return "".join(parts).translate(regional)

    return simplify


def join_wedged(text: str, counts: Counts | None) -> str:
    """Drop what stands between two Chinese characters that belong together."""
    if counts is None:
        return text

    def judge(found: re.Match[str]) -> str:
        before, wedge, after = text[found.start() - 1], found[0], text[found.end()]
        together = counts.of(before + after)
        left, right = counts.of(before + wedge[0]), counts.of(wedge[-1] + after)
        likelier = together * counts.of(wedge[0]) > CLEARLY * left * right
        return "" if together and (likelier or not left or not right) else wedge

    return _BETWEEN.sub(judge, text)


def join_spaced(text: str) -> str:
    """Join three Chinese characters or more that have a gap after each."""
    return _SPACED.sub(lambda found: _GAP.sub("", found[0]), text)


def shorten_repeats(text: str, counts: Counts | None) -> str:
    """Leave three of a character repeated more often; one, where it is hardly ever doubled."""

    def shorten(found: re.Match[str]) -> str:
        character = found[1]
        doubled = counts.of(character * 2) if counts else 0
        single = counts is not None and counts.of(character) > CLEARLY * doubled
        return character * min(len(found[0]), 1 if single else MOST_REPEATS)

    return _REPEATS.sub(shorten, text)


def join_split(text: str, counts: Counts) -> str:
    """Put two parts together that never stood side by side.

    Where one of them never stood alone, as 钅 and 亻 hardly do, that is enough; else the whole must
    fit to what stands beside it.
    """
    made, place = list[str](), 0
    while place < len(text):
        pair = text[place : place + 2]
        whole = counts.joined.get(pair)
        if whole and not counts.of(pair):
            before, after = "".join(made)[-1:], text[place + 2 : place + 3]
            sides = [side for side in (before + whole, whole + after) if is_pair(side)]
            if any(map(counts.of, sides)) or not all(map(counts.of, pair)):
                made.append(whole)
                place += 2
                continue
        made.append(text[place])
        place += 1
    return "".join(made)


def is_pair(text: str) -> bool:
    """Whether it is two Chinese characters."""
    return len(text) == 2 and all(map(is_chinese, text))
