"""What people do to texts to dodge a filter: for `attack`, and for `convert --augment`."""

from spacy_bert_zh.changes.families import (
    HEAD,
    NAMES,
    SYNONYM,
    Change,
    Edit,
    Family,
    apply,
    change_anywhere,
    make_families,
    overlap,
    pieces,
)

__all__ = [
    "HEAD",
    "NAMES",
    "SYNONYM",
    "Change",
    "Edit",
    "Family",
    "apply",
    "change_anywhere",
    "make_families",
    "overlap",
    "pieces",
]
