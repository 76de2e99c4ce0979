"""`distill`: a small pipeline that learns what large ones say; or one what it says itself."""

from spacy_bert_zh.distill.flow import distill
from spacy_bert_zh.distill.self_training import self_train
from spacy_bert_zh.distill.students import inherit, take_layers

__all__ = ["distill", "inherit", "self_train", "take_layers"]
