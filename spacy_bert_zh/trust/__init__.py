"""How far scores can be trusted: calibrated, decided by with a guarantee."""

from spacy_bert_zh.trust.fit import fit, own, refit
from spacy_bert_zh.trust.options import Aims
from spacy_bert_zh.trust.said import describe

__all__ = ["Aims", "describe", "fit", "own", "refit"]
