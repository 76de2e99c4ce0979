"""`curve`: how good a pipeline is by the number of its training rows, and what more would bring."""

from spacy_bert_zh.curve.flow import curve
from spacy_bert_zh.curve.options import Options

__all__ = ["Options", "curve"]
