"""Trained pipelines: loaded, asked and taken apart."""

from spacy_bert_zh.loading.answers import Answer, answer_all, warm_up
from spacy_bert_zh.loading.folders import read_config, read_meta
from spacy_bert_zh.loading.pipeline import (
    Network,
    Parts,
    check_index,
    find_textcat,
    given_labels,
    is_exclusive,
    load_pipeline,
    set_threshold,
    shims_of,
    take_apart,
    textcats,
    use_gpu,
)
from spacy_bert_zh.loading.portable import portable, portable_config, portable_meta
from spacy_bert_zh.loading.words import Span, find_words, only, search_words, without
from spacy_bert_zh.textcat import thresholds_of

__all__ = [
    "Answer",
    "Network",
    "Parts",
    "Span",
    "answer_all",
    "check_index",
    "find_textcat",
    "find_words",
    "given_labels",
    "is_exclusive",
    "load_pipeline",
    "only",
    "portable",
    "portable_config",
    "portable_meta",
    "read_config",
    "read_meta",
    "search_words",
    "set_threshold",
    "shims_of",
    "take_apart",
    "textcats",
    "thresholds_of",
    "use_gpu",
    "warm_up",
    "without",
]
