"""`attack`: how a pipeline's labels bear what people do to texts to dodge it."""

from spacy_bert_zh.attack.flow import attack
from spacy_bert_zh.attack.options import Options

__all__ = ["Options", "attack"]
