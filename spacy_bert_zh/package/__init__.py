"""`package`: a trained pipeline as a wheel that pip installs."""

from spacy_bert_zh.package.flow import package

__all__ = ["package"]
