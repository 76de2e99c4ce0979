"""``doc._.bert_vector``, and spaCy's ``doc.vector`` and ``doc.similarity`` by it."""

from typing import Any

import numpy as np
from spacy.tokens import Doc

from spacy_bert_zh.textcat.space import Vectors

if not Doc.has_extension("bert_vector"):
    Doc.set_extension("bert_vector", default=None)


def set_vector(doc: Doc, vector: Vectors, as_vector: bool) -> None:
    """Write a document's vector, of shape (width,), into ``doc._.bert_vector``.

    Args:
        doc: The document.
        vector: Of length 1.
        as_vector: Whether ``doc.vector`` and ``doc.similarity`` are by it, too.
    """
    doc._.bert_vector = vector
    if as_vector:
        doc.user_hooks["vector"] = _vector
        doc.user_hooks["has_vector"] = _has_vector
        doc.user_hooks["similarity"] = _similarity


def _vector(doc: Doc) -> Any:
    return doc._.bert_vector


def _has_vector(doc: Doc) -> bool:
    return doc._.bert_vector is not None


def _similarity(doc: Doc, other: Any) -> float:
    first, second = np.asarray(doc.vector), np.asarray(other.vector)
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / lengths) if lengths else 0.0
