"""`retrieve`: search and questions with known answers, by words, by vectors or by both."""

from spacy_bert_zh.retrieve.component import BertRetriever, make_bert_retriever
from spacy_bert_zh.retrieve.flow import build
from spacy_bert_zh.retrieve.measuring import evaluate_retriever
from spacy_bert_zh.retrieve.options import Options
from spacy_bert_zh.retrieve.pairs import build_pairs_v1
from spacy_bert_zh.retrieve.retriever import Entry, Found, Hit, Retriever

__all__ = [
    "BertRetriever",
    "Entry",
    "Found",
    "Hit",
    "Options",
    "Retriever",
    "build",
    "build_pairs_v1",
    "evaluate_retriever",
    "make_bert_retriever",
]
