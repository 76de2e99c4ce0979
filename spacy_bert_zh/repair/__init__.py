"""`zh_repair`: undoes what people do to texts to dodge a filter, where there is one way back."""

from spacy_bert_zh.repair.component import Repair, as_read, make_zh_repair, repair
from spacy_bert_zh.repair.counts import Counts
from spacy_bert_zh.repair.rules import Repairer

__all__ = ["Counts", "Repair", "Repairer", "as_read", "make_zh_repair", "repair"]
