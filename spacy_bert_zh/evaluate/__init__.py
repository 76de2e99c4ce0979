"""`evaluate`: what a pipeline says of a corpus, in numbers and as a report."""

from spacy_bert_zh.evaluate.flow import evaluate
from spacy_bert_zh.evaluate.history import METRICS, PICTURE, draw_history, make_line, write_history
from spacy_bert_zh.evaluate.learnt import check_metrics, check_record
from spacy_bert_zh.evaluate.predictions import (
    Predictions,
    check_corpus,
    constant_of,
    predict,
    read_shards,
)
from spacy_bert_zh.evaluate.reliability import calibration_error
from spacy_bert_zh.evaluate.table import print_table

__all__ = [
    "METRICS",
    "PICTURE",
    "Predictions",
    "calibration_error",
    "check_corpus",
    "check_metrics",
    "check_record",
    "constant_of",
    "draw_history",
    "evaluate",
    "make_line",
    "predict",
    "print_table",
    "read_shards",
    "write_history",
]
