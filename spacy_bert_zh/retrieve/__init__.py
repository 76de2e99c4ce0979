"""`retrieve`: search and questions with known answers, by words, by vectors or by both."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.retrieve.flow import build
from spacy_bert_zh.retrieve.options import LONGEST, Options

if TYPE_CHECKING:
    from spacy_bert_zh.retrieve.folder import can_search
    from spacy_bert_zh.retrieve.measuring import evaluate_retriever
    from spacy_bert_zh.retrieve.ranking import By
    from spacy_bert_zh.retrieve.retriever import Entry, Found, Hit, Retriever

__all__ = [
    "LONGEST",
    "By",
    "Entry",
    "Found",
    "Hit",
    "Options",
    "Retriever",
    "build",
    "can_search",
    "evaluate_retriever",
]

_LATER = {
    "By": "ranking",
    "can_search": "folder",
    "evaluate_retriever": "measuring",
    **dict.fromkeys(("Entry", "Found", "Hit", "Retriever"), "retriever"),
}


def __getattr__(name: str) -> Any:
    """Import what needs spaCy when it is asked for: the command line starts without it."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
