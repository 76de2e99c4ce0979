"""`evaluate`: what a pipeline says of a corpus, in numbers and as a report."""

from spacy_bert_zh.evaluate.bootstrap import answer_columns, answer_figures, interval, resample
from spacy_bert_zh.evaluate.flow import evaluate
from spacy_bert_zh.evaluate.history import METRICS, PICTURE, draw_history, make_line, write_history
from spacy_bert_zh.evaluate.learnt import check_metrics, check_record
from spacy_bert_zh.evaluate.page import make_environment
from spacy_bert_zh.evaluate.paired import (
    count_pairs,
    holm,
    mcnemar,
    most_lost,
    smallest_difference,
    texts_needed,
)
from spacy_bert_zh.evaluate.predictions import (
    EXCERPT,
    MISTAKES,
    Predictions,
    check_corpus,
    constant_of,
    predict,
    rank_mistakes,
    read_as_classified,
    read_shards,
)
from spacy_bert_zh.evaluate.reliability import calibration_error, make_claims
from spacy_bert_zh.evaluate.shares import share_of
from spacy_bert_zh.evaluate.table import print_table
from spacy_bert_zh.evaluate.vectors import find_vectors

__all__ = [
    "EXCERPT",
    "METRICS",
    "MISTAKES",
    "PICTURE",
    "Predictions",
    "answer_columns",
    "answer_figures",
    "calibration_error",
    "check_corpus",
    "check_metrics",
    "check_record",
    "constant_of",
    "count_pairs",
    "draw_history",
    "evaluate",
    "find_vectors",
    "holm",
    "interval",
    "make_claims",
    "make_environment",
    "make_line",
    "mcnemar",
    "most_lost",
    "predict",
    "print_table",
    "rank_mistakes",
    "read_as_classified",
    "read_shards",
    "resample",
    "share_of",
    "smallest_difference",
    "texts_needed",
    "write_history",
]
