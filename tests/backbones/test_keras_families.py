"""BERT's relatives in Keras: vectors as `transformers` and torch have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")

from spacy_bert_zh.backbones.keras.backbone import build_keras_backbone_v1
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.errors import BertZhError
from tests.backbones.families import FAMILIES, assert_same_vectors, built, write_family
from tests.conftest import make_docs


@pytest.mark.parametrize("kind", FAMILIES)
def test_vectors_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    assert_same_vectors(build_keras_backbone_v1, kind, tmp_path)
    ours = built(build_keras_backbone_v1, tmp_path, "mean")
    torchs: Any = build_torch_backbone_v1(max_length=32, max_windows=1, pooling="mean")
    torchs.from_bytes(ours.to_bytes())
    np.testing.assert_allclose(
        torchs.predict(make_docs()), ours.predict(make_docs()), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["roformer", "modernbert", "deberta-v2"])
def test_another_attention_is_refused(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    with pytest.raises(BertZhError, match=rf"Keras has no {kind}, .*TorchBackbone"):
        built(build_keras_backbone_v1, tmp_path, "mean")
