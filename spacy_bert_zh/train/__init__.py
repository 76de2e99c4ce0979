"""`train`: spaCy's training, with a best model that has learnt, and a state that survives."""

from spacy_bert_zh.train.flow import hold, train

__all__ = ["hold", "train"]
