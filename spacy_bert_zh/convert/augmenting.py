"""Changed texts beside those of train: made here, or found by `attack`."""

import random
from collections.abc import Iterator
from pathlib import Path

from spacy_bert_zh.changes import change_anywhere, make_families
from spacy_bert_zh.characters import read_similar
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import SPLITS, Spool
from spacy_bert_zh.errors import BertZhError

TRAIN = SPLITS.index("train")
MOST = 1 << 28
"""Bytes of what an attack has found: about a million headlines."""


def augment(spool: Spool, options: Options) -> tuple[dict[str, int], list[str]]:
    """Put changed texts into train, beside those that they were made of and with their labels.

    A text that some split has already stays out. What is made of a text doesn't depend on the
    others.

    Returns:
        How many there are of each family, and what was done, in words.

    Raises:
        BertZhError: A package that a family needs is not installed, or a file is no good.
    """
    words = [_take_found(spool, path, options.seed) for path in options.adversarial]
    if options.augment:
        _make(spool, options)
    made = dict[str, int](spool.counts("added", "family"))
    if made:
        listed = ", ".join(f"{number:,} {family}" for family, number in made.items())
        words.append(f"train has {sum(made.values()):,} changed texts besides its rows: {listed}")
    return made, words


def _make(spool: Spool, options: Options) -> None:
    similar = read_similar(options.similar) if options.similar else None
    families = make_families(options.augment, similar)
    for number, text in spool.originals(TRAIN):
        chance = random.Random(f"{options.seed} {text}")
        copies = int(options.augment_share + chance.random())  # 1.5: one, or as often two
        for _ in range(copies):
            family = chance.choice(families)
            changes = chance.randint(1, options.augment_changes)
            changed = change_anywhere(text, family, changes, chance)
            if changed.strip():
                spool.add_changed(number, changed, family.name, options.seed)


def _take_found(spool: Spool, path: Path, seed: int) -> str:
    """Store what an attack on the texts of train has found; those of other texts stay out.

    Raises:
        BertZhError: A line is none that `attack` has written, or none is of a text of train.
    """
    known = {text: number for number, text in spool.originals(TRAIN)}
    found = taken = 0
    for text, original, family in _read_found(path):
        found += 1
        if original in known:
            taken += 1
            spool.add_changed(known[original], text, family, seed)
    if not taken:
        raise BertZhError(
            f"--adversarial {path}: none of its {found:,} texts was made of a text of train; "
            "attack the train folder of this corpus, converted with the same options"
        )
    return f"--adversarial {path.name}: {taken:,} of {found:,} texts were made of texts of train"


def _read_found(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each changed text, the text that it was, and the family."""
    from spacy_bert_zh.untrusted import Strict, checked, parse_json, read_text  # needs pydantic

    class Found(Strict):
        text: str
        original: str
        family: str

    for number, line in enumerate(read_text(path, MOST).split("\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            row = checked(Found, parse_json(line, where), where)
            yield row.text, row.original, row.family
