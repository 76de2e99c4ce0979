"""`distill`: a small pipeline that learns what large ones say."""

from spacy_bert_zh.distill.flow import distill

__all__ = ["distill"]
