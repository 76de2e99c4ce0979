"""`index`: labelled texts in a pipeline, as evidence, as voters and as labels without training."""

from spacy_bert_zh.index.flow import index
from spacy_bert_zh.index.options import Options

__all__ = ["Options", "index"]
