"""`audit`: which rows of a labelled corpus are likely wrong, and what else is odd about it."""

from spacy_bert_zh.audit.flow import audit
from spacy_bert_zh.audit.options import Options

__all__ = ["Options", "audit"]
