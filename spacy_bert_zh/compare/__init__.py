"""`compare`: whether one pipeline is better than another, or only luckier on these texts."""

from spacy_bert_zh.compare.flow import compare

__all__ = ["compare"]
