"""`explain`: which characters of a text its labels come from, and how far to believe that."""

from spacy_bert_zh.explain.contrast import contrast
from spacy_bert_zh.explain.flow import can_explain, explain
from spacy_bert_zh.explain.mistakes import Mistakes
from spacy_bert_zh.explain.rating import rate
from spacy_bert_zh.explain.result import Contrast, Explanation, Ngram, Rating, Share
from spacy_bert_zh.explain.summary import Summary, summarise

__all__ = [
    "Contrast",
    "Explanation",
    "Mistakes",
    "Ngram",
    "Rating",
    "Share",
    "Summary",
    "can_explain",
    "contrast",
    "explain",
    "rate",
    "summarise",
]
