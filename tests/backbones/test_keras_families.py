"""BERT's relatives in Keras: vectors and gradients as torch has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")

from spacy_bert_zh.backbones.keras.backbone import build_keras_backbone_v1
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from tests.backbones.families import FAMILIES, vectors_of, write_family
from tests.conftest import make_docs


@pytest.mark.parametrize("kind", FAMILIES)
def test_vectors_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    network = write_family(kind, tmp_path)
    for pooling in ("cls", "mean") if kind == "electra" else ("cls", "mean", "pooler"):
        settings: Any = {"max_length": 32, "max_windows": 1, "pooling": pooling}
        model = build_keras_backbone_v1(str(tmp_path), **settings)
        model.initialize()
        expected = vectors_of(network, tmp_path, pooling)
        np.testing.assert_allclose(model.predict(make_docs()), expected, rtol=0, atol=1e-5)
        torchs = build_torch_backbone_v1(None, **settings).from_bytes(model.to_bytes())
        np.testing.assert_allclose(torchs.predict(make_docs()), expected, rtol=0, atol=1e-5)
