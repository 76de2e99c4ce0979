"""A corpus of any size through a trained pipeline; flow.py is the way through."""

from spacy_bert_zh.score.flow import score
from spacy_bert_zh.score.output import Summary

__all__ = ["Summary", "score"]
