"""`crossval`: every row of a corpus judged by a pipeline that hasn't learnt from it."""

from spacy_bert_zh.crossval.flow import crossval
from spacy_bert_zh.crossval.options import Options

__all__ = ["Options", "crossval"]
