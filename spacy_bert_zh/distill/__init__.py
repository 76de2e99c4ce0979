"""`distill`: a small pipeline that learns what large ones say; or one what it says itself."""

from spacy_bert_zh.distill.flow import distill
from spacy_bert_zh.distill.self_training import self_train

__all__ = ["distill", "self_train"]
