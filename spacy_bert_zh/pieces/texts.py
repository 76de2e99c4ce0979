"""Which text of a document a classifier reads: the one place where that is decided."""

from typing import Any

from spacy.tokens import Doc

if not Doc.has_extension("zh_repair"):
    Doc.set_extension("zh_repair", default=None)


def text_of(doc: Doc) -> str:
    """The text as a ``zh_repair`` in the pipeline has left it, or the document's."""
    repaired: dict[str, Any] | None = doc._.zh_repair
    return str(repaired["text"]) if repaired else doc.text
