"""`train`: spaCy's training, with a best model that has learnt, and a state that survives."""

from spacy_bert_zh.train.config import readable_errors
from spacy_bert_zh.train.flow import train
from spacy_bert_zh.train.output import hold

__all__ = ["hold", "readable_errors", "train"]
