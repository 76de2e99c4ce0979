"""BERT's relatives in ONNX Runtime: vectors as `transformers` has them, in eight bits nearly so."""

from pathlib import Path

import pytest

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.onnx.building import build_graph
from spacy_bert_zh.backbones.onnx.quantize import quantize
from spacy_bert_zh.checkpoint import load_checkpoint
from tests.backbones.families import FAMILIES, assert_same_vectors, built, write_family
from tests.conftest import make_docs


@pytest.mark.parametrize("kind", FAMILIES)
def test_vectors_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    assert_same_vectors(build_onnx_backbone_v1, kind, tmp_path)


@pytest.mark.parametrize("kind", FAMILIES)
def test_eight_bits_stay_close(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    checkpoint = load_checkpoint(str(tmp_path))
    model = built(build_onnx_backbone_v1, tmp_path, "mean")
    exact = model.predict(make_docs())
    small = quantize(build_graph(checkpoint, "mean", "int8"))
    model.shims[0].exchange(checkpoint, small.SerializeToString())
    assert 0 < abs(model.predict(make_docs()) - exact).max() < 0.2
