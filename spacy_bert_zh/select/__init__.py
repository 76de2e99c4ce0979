"""`select`: which texts of an unlabelled pool to label next."""

from spacy_bert_zh.select.flow import Selection, select
from spacy_bert_zh.select.options import STRATEGIES, Options

__all__ = ["STRATEGIES", "Options", "Selection", "select"]
