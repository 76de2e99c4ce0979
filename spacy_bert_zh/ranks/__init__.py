"""Several processes that do one thing together: numbered, started, and in touch."""

from spacy_bert_zh.ranks.group import PATIENCE, Group, is_first, joined, local_rank
from spacy_bert_zh.ranks.launch import launch
from spacy_bert_zh.ranks.memory import map_memory

__all__ = ["PATIENCE", "Group", "is_first", "joined", "launch", "local_rank", "map_memory"]
