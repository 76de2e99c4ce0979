"""`distill`: a small pipeline that learns what large ones say."""

from spacy_bert_zh.distill.flow import distill
from spacy_bert_zh.distill.students import inherit, take_layers

__all__ = ["distill", "inherit", "take_layers"]
