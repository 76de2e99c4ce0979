"""BERT's relatives in torch and in ONNX: vectors as `transformers` has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModel, AutoTokenizer

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.onnx.graph import build_graph
from spacy_bert_zh.backbones.onnx.quantize import quantize
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import load_checkpoint, save_checkpoint
from tests.backbones.families import FAMILIES, vectors_of, write_family
from tests.conftest import TEXTS, make_docs

ENGINES = [build_torch_backbone_v1, build_onnx_backbone_v1]


def backbone(engine: Any, folder: Path, pooling: str, **settings: Any) -> Any:
    model = engine(str(folder), max_length=32, max_windows=1, pooling=pooling, **settings)
    model.initialize()
    return model


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", FAMILIES)
def test_vectors_are_those_of_transformers(
    kind: str, engine: Any, pooling: str, tmp_path: Path
) -> None:
    if (kind, pooling) == ("electra", "pooler"):
        pytest.skip("an ELECTRA has no pooler")
    network = write_family(kind, tmp_path)
    expected = vectors_of(network, tmp_path, pooling)
    model = backbone(engine, tmp_path, pooling)
    np.testing.assert_allclose(model.predict(make_docs()), expected, rtol=0, atol=1e-5)
    again = engine(None, max_length=32, max_windows=1, pooling=pooling)
    again.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(again.predict(make_docs()), model.predict(make_docs()))


@pytest.mark.parametrize("kind", FAMILIES)
def test_eight_bits_stay_close(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    checkpoint = load_checkpoint(str(tmp_path))
    model = backbone(build_onnx_backbone_v1, tmp_path, "mean")
    exact = model.predict(make_docs())
    small = quantize(build_graph(checkpoint, "mean", "int8"))
    model.shims[0].exchange(checkpoint, small.SerializeToString())
    assert 0 < abs(model.predict(make_docs()) - exact).max() < 0.2


@pytest.mark.parametrize("kind", FAMILIES)
def test_all_of_it_learns(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    model = backbone(build_torch_backbone_v1, tmp_path, "cls", layer_decay=0.5)
    vectors, backprop = model.begin_update(make_docs())
    backprop(np.random.default_rng(0).normal(size=vectors.shape).astype("float32"))
    learnt = {}

    def collect(key: Any, weights: Any, gradient: Any, **_: Any) -> Any:
        learnt[key[1]] = abs(gradient).max()
        return weights, gradient

    model.shims[0].finish_update(collect)
    assert learnt.keys() == model.shims[0].checkpoint().weights.keys()
    # Softmax doesn't see the keys' biases.
    assert all(learnt[name] for name in learnt if not name.endswith("key.bias"))


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_is_exported_is_read_by_transformers(kind: str, tmp_path: Path) -> None:
    """The written checkpoint says the same as the one that was read, its pieces too."""
    network = write_family(kind, tmp_path / "given")
    expected = vectors_of(network, tmp_path / "given", "cls")
    save_checkpoint(load_checkpoint(str(tmp_path / "given")), tmp_path / "made")
    made = AutoModel.from_pretrained(tmp_path / "made").eval()
    np.testing.assert_allclose(
        vectors_of(made, tmp_path / "made", "cls"), expected, rtol=0, atol=1e-5
    )
    ours, theirs = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("made", "given"))
    assert [ours(text)["input_ids"] for text in TEXTS] == [
        theirs(text)["input_ids"] for text in TEXTS
    ]
