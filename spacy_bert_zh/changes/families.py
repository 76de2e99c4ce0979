"""The families of changes: each changes a text at one place, as people do who dodge a filter.

What such texts look like in the wild: Li et al. 2019, *TextBugger*; Su et al. 2022, *RoCBert*.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spacy_bert_zh import characters
from spacy_bert_zh.characters import Table, is_chinese
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import one_of

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
SELECTORS = "\ufe00\ufe0e\ufe0f\U000e0100\U000e0101"
MARKS = "\u0332\u0335\u0336\u20dd\u20e0"
NOISE = " *·_|~-.、★❤+#^"
REPEATS = 3
SYNONYM = "synonym"
HEAD = "a folder whose weights have a head of masked language modelling, as assets/bert_small has"


@dataclass(frozen=True)
class Edit:
    """What stands in place of a stretch of a text.

    Attributes:
        start: Its first character.
        end: The one after its last.
        new: What stands there instead.
    """

    start: int
    end: int
    new: str


Change = Callable[[str, int, random.Random], Edit | None]
"""Of a text, a place in it and chance: a change at this place, or None where there is none."""


@dataclass(frozen=True)
class Family:
    """Changes of one kind.

    Attributes:
        name: As options name it.
        what: What it does, in a few words.
        change: Makes one.
    """

    name: str
    what: str
    change: Change


def apply(text: str, edits: Sequence[Edit]) -> str:
    """A text with edits that don't overlap.

    Examples:
        >>> apply("强烈推荐", [Edit(0, 1, "弓虽"), Edit(3, 4, "存")])
        '弓虽烈推存'
    """
    return "".join(piece for piece, _ in pieces(text, edits))


def pieces(text: str, edits: Sequence[Edit]) -> list[tuple[str, Edit | None]]:
    """An edited text in pieces: each as it was, or with the edit that made it."""
    found, place = list[tuple[str, Edit | None]](), 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        found += [(text[place : edit.start], None), (edit.new, edit)]
        place = edit.end
    return [(piece, edit) for piece, edit in (*found, (text[place:], None)) if piece or edit]


def overlap(one: Edit, other: Edit) -> bool:
    """Whether two edits change the same character."""
    return one.start < other.end and other.start < one.end


def change_anywhere(text: str, family: Family, most: int, chance: random.Random) -> str:
    """A text with so many changes of a family, or all that it allows, at places drawn by chance."""
    edits: list[Edit] = []
    for place in chance.sample(range(len(text)), len(text)):
        if len(edits) == most:
            break
        edit = family.change(text, place, chance)
        if edit is not None and not any(overlap(edit, other) for other in edits):
            edits.append(edit)
    return apply(text, edits)


def make_families(
    names: Sequence[str] = (), similar: Table | None = None, synonyms: Change | None = None
) -> tuple[Family, ...]:
    """The families of these names, or all of them that can be had.

    Args:
        names: Which.
        similar: Look-alikes for ``shape``; None finds characters with a part in common.
        synonyms: What ``synonym`` does; without it there is no such family.

    Raises:
        BertZhError: There is none of a name, or what one needs isn't there.
    """
    known = _families(similar, synonyms)
    for name in names:
        one_of("--families", name, (*NAMES, SYNONYM))
        if name not in known:
            raise BertZhError(f"--families {name} needs --checkpoint: {HEAD}")
    return tuple(
        Family(name, what, make())
        for name, (what, make) in known.items()
        if name in names or not names
    )


def _families(
    similar: Table | None, synonyms: Change | None
) -> Mapping[str, tuple[str, Callable[[], Change]]]:
    """For each family what it does, and how its changes are made."""

    def by(table: Callable[[], Table]) -> Callable[[], Change]:
        return lambda: _by(table())

    shape = characters.look_alikes if similar is None else lambda: similar
    made: dict[str, tuple[str, Callable[[], Change]]] = {
        "sound": ("a character of the same sound, whatever its tone", by(characters.homophones)),
        "shape": ("a character that looks alike", by(shape)),
        "split": ("the two parts of a character beside each other", by(characters.splits)),
        "pinyin": ("a character's pinyin, or its first letter", by(_spellings)),
        "zero_width": ("invisible characters, variation selectors, marks", lambda: _zero_width),
        "width": ("another width or compatibility form", by(characters.compatible_forms)),
        "traditional": ("the traditional or a regional form", by(characters.other_forms)),
        "noise": ("a symbol between two characters, or one repeated", lambda: _noise),
        "swap": ("two neighbours in the other order", lambda: _swap),
        "drop": ("a character less", lambda: _drop),
    }
    if synonyms is not None:
        made[SYNONYM] = "a word that a masked language model expects there", lambda: synonyms
    return made


def _by(table: Table) -> Change:
    def change(text: str, place: int, chance: random.Random) -> Edit | None:
        others = table.get(text[place])
        return Edit(place, place + 1, chance.choice(others)) if others else None

    return change


def _spellings() -> Table:
    return {
        character: tuple(dict.fromkeys((sound, sound[0])))
        for character, sound in characters.pinyin().items()
    }


def _zero_width(text: str, place: int, chance: random.Random) -> Edit | None:
    if not is_chinese(text[place]):
        return None
    kind = chance.choice((ZERO_WIDTH, SELECTORS, MARKS))
    return Edit(place, place + 1, text[place] + chance.choice(kind))


def _noise(text: str, place: int, chance: random.Random) -> Edit | None:
    pair = text[place : place + 2]
    if len(pair) < 2 or not all(map(is_chinese, pair)):
        return None
    if chance.random() < 1 / REPEATS:
        return Edit(place, place + 1, pair[0] * REPEATS)
    return Edit(place, place + 1, pair[0] + chance.choice(NOISE))


def _swap(text: str, place: int, chance: random.Random) -> Edit | None:
    pair = text[place : place + 2]
    if len(set(pair)) < 2 or not all(map(is_chinese, pair)):
        return None
    return Edit(place, place + 2, pair[::-1])


def _drop(text: str, place: int, chance: random.Random) -> Edit | None:
    return Edit(place, place + 1, "") if is_chinese(text[place]) else None


NAMES = tuple(_families(None, None))
"""Those that need no checkpoint."""
