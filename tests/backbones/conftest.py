"""The torch backbone in miniature; the tests of other engines build their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

Backbone = Model[list[Doc], Floats2d]


@pytest.fixture
def build(still: Path) -> Callable[..., Backbone]:
    """Build a backbone with its weights."""
    # Here, for this file is also read where Keras is to be imported first.
    from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
    from tests.backbones.weights import LENGTH, STRIDE

    def build(**settings: object) -> Backbone:
        given = {
            **{"max_length": LENGTH, "stride": STRIDE, "max_windows": 0, "pooling": "cls"},
            "mixed_precision": False,  # the same on every CPU
        }
        model = build_torch_backbone_v1(  # type: ignore[arg-type]
            **{"name": str(still), **given, **settings}
        )
        model.initialize()
        return model

    return build
