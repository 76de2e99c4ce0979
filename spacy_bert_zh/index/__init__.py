"""`index`: labelled texts in a pipeline, as evidence, as voters and as labels without training."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.index.flow import index
from spacy_bert_zh.index.options import Options

if TYPE_CHECKING:
    from spacy_bert_zh.index.changing import add_examples, forget_examples

__all__ = ["Options", "add_examples", "forget_examples", "index"]


def __getattr__(name: str) -> Any:
    """Import what needs spaCy when it is asked for: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.changing"), name)
