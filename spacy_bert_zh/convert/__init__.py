"""`convert`: labelled or raw Chinese corpora to spaCy training data, with a data report."""

from spacy_bert_zh.convert.flow import convert
from spacy_bert_zh.convert.options import Options, parse_options
from spacy_bert_zh.convert.report import summarize

__all__ = ["Options", "convert", "parse_options", "summarize"]
