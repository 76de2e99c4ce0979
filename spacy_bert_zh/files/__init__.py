"""Outputs: owned, locked, whole, resumable; and processes that end with their parent."""

from spacy_bert_zh.files.children import die_with_parent, pool, run, started
from spacy_bert_zh.files.fingerprint import contents, fingerprint
from spacy_bert_zh.files.outputs import (
    RECORD,
    check_apart,
    claim,
    discard,
    intact,
    made,
    owned,
    real,
    remove,
    scratch,
    whole,
    workshop,
)

__all__ = [
    "RECORD",
    "check_apart",
    "claim",
    "contents",
    "die_with_parent",
    "discard",
    "fingerprint",
    "intact",
    "made",
    "owned",
    "pool",
    "real",
    "remove",
    "run",
    "scratch",
    "started",
    "whole",
    "workshop",
]
