"""`train`: spaCy's training, with a best model that has learnt, and a state that survives."""

from spacy_bert_zh.train.config import corpus_paths, readable_errors
from spacy_bert_zh.train.flow import train
from spacy_bert_zh.train.output import hold

__all__ = ["corpus_paths", "hold", "readable_errors", "train"]
