"""Corpora in every form, row by row: for `convert`, `pretrain` and `score` alike.

One file per format; each has a `read` that yields a `Row` or a `Reject` per row.
"""

from spacy_bert_zh.reading.cleaning import (
    CHINESE_PUNCTUATION,
    fault,
    make_cleaner,
    make_label_cleaner,
    visible,
)
from spacy_bert_zh.reading.formats import get_format
from spacy_bert_zh.reading.inputs import STDIN, size
from spacy_bert_zh.reading.label_values import NO_LABEL, NotALabelError, is_missing
from spacy_bert_zh.reading.options import Options, TextOptions, parse_options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source

__all__ = [
    "CHINESE_PUNCTUATION",
    "NO_LABEL",
    "STDIN",
    "NotALabelError",
    "Options",
    "Reject",
    "Row",
    "Source",
    "TextOptions",
    "fault",
    "get_format",
    "is_missing",
    "make_cleaner",
    "make_label_cleaner",
    "parse_options",
    "size",
    "visible",
]
