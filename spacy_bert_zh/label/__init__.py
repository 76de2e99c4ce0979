"""`label`: people give the texts of a pool their labels, on a page; see docs/label.md."""

from spacy_bert_zh.label.flow import Labelled, label
from spacy_bert_zh.label.options import Options

__all__ = ["Labelled", "Options", "label"]
