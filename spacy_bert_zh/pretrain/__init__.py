"""``pretrain``: raw Chinese text → a BERT of one's own, as a Hugging Face folder."""

from spacy_bert_zh.pretrain.flow import pretrain
from spacy_bert_zh.pretrain.options import PRESETS, Options, make_options

__all__ = ["PRESETS", "Options", "make_options", "pretrain"]
