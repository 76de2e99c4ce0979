"""`train`: spaCy's training, with a best model that has learnt, and a state that survives."""

from spacy_bert_zh.train.flow import train, train_pipeline

__all__ = ["train", "train_pipeline"]
