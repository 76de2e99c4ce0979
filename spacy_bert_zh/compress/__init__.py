"""Trained pipelines made faster and smaller, with a bound on what changes."""

from spacy_bert_zh.compress.chain import compress_to
from spacy_bert_zh.compress.fitting import fit_cascade
from spacy_bert_zh.compress.flow import compress
from spacy_bert_zh.compress.vocabulary import cut_vocabulary

__all__ = ["compress", "compress_to", "cut_vocabulary", "fit_cascade"]
