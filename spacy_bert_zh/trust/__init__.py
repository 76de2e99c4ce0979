"""How far scores can be trusted: `fit.py` calibrates, and finds what to decide by."""

from spacy_bert_zh.trust.options import Aims
from spacy_bert_zh.trust.said import describe

__all__ = ["Aims", "describe"]
