"""The networks of a text classifier."""

from typing import Any

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d


def shims_of(model: Model[list[Doc], Floats2d]) -> list[Any]:
    """What holds the networks of a model's backbone, each a `BackboneShim`.

    One; several in a committee; none where the backbone is a listener, or where there is none.
    """
    if not model.has_ref("backbone"):
        return []
    return [shim for node in model.get_ref("backbone").walk() for shim in node.shims]
