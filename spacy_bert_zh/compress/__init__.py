"""Trained pipelines made faster and smaller, with a bound on what changes."""

from spacy_bert_zh.compress.fitting import fit_cascade
from spacy_bert_zh.compress.flow import compress

__all__ = ["compress", "fit_cascade"]
