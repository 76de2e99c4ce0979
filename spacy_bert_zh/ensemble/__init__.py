"""`ensemble`: one pipeline out of several runs, as fast as each of them."""

from spacy_bert_zh.ensemble.flow import ensemble

__all__ = ["ensemble"]
