"""Parts of a labelled corpus: dealt out evenly, written, and what others say of those left out."""

from spacy_bert_zh.folds.dealing import deal, near_groups
from spacy_bert_zh.folds.judged import (
    PREDICTIONS,
    Judged,
    join,
    judge,
    read_complete,
    read_judged,
    to_predictions,
    write_judged,
)
from spacy_bert_zh.folds.rows import Rows, read_rows, write_parts
from spacy_bert_zh.folds.workbench import CONFIG, LABELS, WORKBENCH, begin

__all__ = [
    "CONFIG",
    "LABELS",
    "PREDICTIONS",
    "WORKBENCH",
    "Judged",
    "Rows",
    "begin",
    "deal",
    "join",
    "judge",
    "near_groups",
    "read_complete",
    "read_judged",
    "read_rows",
    "to_predictions",
    "write_judged",
    "write_parts",
]
