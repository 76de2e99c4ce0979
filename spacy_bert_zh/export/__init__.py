"""`export`: a trained pipeline for other engines and frameworks."""

from spacy_bert_zh.export.flow import export

__all__ = ["export"]
