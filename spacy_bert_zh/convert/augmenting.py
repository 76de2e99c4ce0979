"""Changed texts beside those of train: made here, or found by `attack`."""

import random

from spacy_bert_zh.attack import change_anywhere, make_families
from spacy_bert_zh.characters import read_similar
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import SPLITS, Spool

TRAIN = SPLITS.index("train")


def augment(spool: Spool, options: Options) -> dict[str, int]:
    """Put changed texts into train, beside those that they were made of and with their labels.

    A text that some split has already isn't made. What becomes of a text doesn't depend on the
    others.

    Returns:
        How many there are of each family.

    Raises:
        BertZhError: A package that a family needs is not installed, or a file is no good.
    """
    if options.augment:
        _make(spool, options)
    return dict(spool.counts("added", "family"))


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
