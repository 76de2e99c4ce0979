"""`search`: better settings for a corpus, found on its dev texts and reported on others."""

from spacy_bert_zh.search.flow import search
from spacy_bert_zh.search.options import Options

__all__ = ["Options", "search"]
