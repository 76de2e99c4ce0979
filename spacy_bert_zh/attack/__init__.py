"""`attack`: how a pipeline's labels bear what people do to texts to dodge it."""

from spacy_bert_zh.attack.families import (
    NAMES,
    Edit,
    Family,
    apply,
    change_anywhere,
    make_families,
)
from spacy_bert_zh.attack.flow import attack
from spacy_bert_zh.attack.options import Options

__all__ = [
    "NAMES",
    "Edit",
    "Family",
    "Options",
    "apply",
    "attack",
    "change_anywhere",
    "make_families",
]
