"""`retrieve`: search and questions with known answers, by words, by vectors or by both."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.retrieve.flow import build
from spacy_bert_zh.retrieve.options import Options

if TYPE_CHECKING:
    from spacy_bert_zh.retrieve.measuring import evaluate_retriever
    from spacy_bert_zh.retrieve.retriever import Entry, Found, Hit, Retriever

__all__ = ["Entry", "Found", "Hit", "Options", "Retriever", "build", "evaluate_retriever"]

_LATER = {
    "evaluate_retriever": "measuring",
    **dict.fromkeys(("Entry", "Found", "Hit", "Retriever"), "retriever"),
}


def __getattr__(name: str) -> Any:
    """Import what needs spaCy when it is asked for: the command line starts without it."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
