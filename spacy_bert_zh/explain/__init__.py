"""`explain`: which characters of a text its labels come from, and how far to believe that."""

from spacy_bert_zh.explain.contrast import contrast
from spacy_bert_zh.explain.flow import can_explain, explain
from spacy_bert_zh.explain.rating import rate, rate_corpus
from spacy_bert_zh.explain.result import Contrast, Explanation, Ngram, Rating, Share

__all__ = [
    "Contrast",
    "Explanation",
    "Ngram",
    "Rating",
    "Share",
    "can_explain",
    "contrast",
    "explain",
    "rate",
    "rate_corpus",
]
