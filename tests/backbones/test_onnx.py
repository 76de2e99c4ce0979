"""The ONNX backbone: equal to the torch one, alone and in batches; smaller forms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.backbones.onnx import backbone as onnx
from spacy_bert_zh.backbones.onnx.backbone import OnnxShim, build_onnx_backbone_v1
from spacy_bert_zh.backbones.onnx.building import build_graph
from spacy_bert_zh.backbones.onnx.quantize import quantize
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.encoder import pad
from tests.conftest import BAD, GOOD, NOUNS, make_docs

Backbone = Model[list[Doc], Floats2d]
Build = Callable[..., Backbone]


@pytest.fixture
def build(still: Path) -> Build:
    def build(engine: Any = build_onnx_backbone_v1, **settings: object) -> Backbone:
        given = {"max_length": 32, "stride": 8, "max_windows": 0, "pooling": "cls"}
        model: Backbone = engine(str(still), **{**given, **settings})
        model.initialize()
        return model

    return build


def shim_of(model: Backbone) -> OnnxShim:
    (shim,) = model.shims
    assert isinstance(shim, OnnxShim)
    return shim


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_vectors_are_those_of_torch(pooling: str, build: Build) -> None:
    ours, torchs = build(pooling=pooling), build(build_torch_backbone_v1, pooling=pooling)
    expected = torchs.predict(make_docs())
    np.testing.assert_allclose(ours.predict(make_docs()), expected, atol=1e-5)
    alone = [ours.predict([doc])[0] for doc in make_docs()]
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    assert ours.predict([]).shape == (0, 16)


def test_the_weights_that_ship_in_windows_of_512() -> None:
    texts = [
        "股市大涨，",
        "",
        "他说：" * 400,
        *(("新产品A1" * n)[: 7 * n] for n in range(1, 40, 6)),
    ]
    vectors = []
    for engine in (build_onnx_backbone_v1, build_torch_backbone_v1):
        model: Any = engine(max_length=512, stride=64, max_windows=0, pooling="mean")
        model.initialize()
        vectors.append(model.predict(make_docs(texts)))
    np.testing.assert_allclose(*vectors, atol=1e-5)


def test_smaller_forms_stay_close() -> None:
    checkpoint = load_checkpoint(None)
    model = build_onnx_backbone_v1(max_length=128, stride=16, pooling="mean")
    model.initialize()
    texts = ["股市大涨，投资者欢呼", "这家店的味道不错", "新手机发布：屏幕更大"]
    exact = model.predict(make_docs(texts))
    sizes = [len(shim_of(model).graph)]
    ids, real = pad(shim_of(model).encode(make_docs(texts), is_train=False).batches[0])
    sample = {"input_ids": ids, "attention_mask": real.astype(np.int64)}
    graphs = [
        build_graph(checkpoint, "mean", "fp16"),
        quantize(build_graph(checkpoint, "mean", "int8")),
        quantize(build_graph(checkpoint, "mean", "int8-static"), [sample]),
    ]
    for graph, least in zip(graphs, (0.999999, 0.999, 0.999), strict=True):
        shim_of(model).exchange(checkpoint, graph.SerializeToString())
        sizes.append(len(shim_of(model).graph))
        found = model.predict(make_docs(texts))
        cosines = (exact * found).sum(1) / np.linalg.norm(exact, axis=1)
        assert (cosines / np.linalg.norm(found, axis=1) > least).all()
    assert sizes[1] < 0.52 * sizes[0] and max(sizes[2:]) < 0.28 * sizes[0]


@pytest.fixture(scope="module")
def many() -> list[Doc]:
    """200 texts of all lengths; what is huge in one must not round another more coarsely."""
    random = np.random.default_rng(0)
    words = [*GOOD, *BAD, *NOUNS, "，", "。", "NBA", "2026", "！！！", "囧", "😀"]
    counts = [0, *random.integers(1, 60, 199)]
    return make_docs(["".join(random.choice(words, count)) for count in counts])


@pytest.mark.parametrize(
    ("precision", "vnni"),
    [("fp32", True), ("fp16", True), ("int8", True), ("int8-static", True), ("int8-static", False)],
)
def test_scores_alone_are_those_in_a_batch(
    precision: str, vnni: bool, many: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A score between 0 and 1 can't change by more than the logit, a head's product with this."""
    monkeypatch.setattr(onnx, "has_vnni", lambda: vnni)
    checkpoint = load_checkpoint(None)
    model = build_onnx_backbone_v1()
    model.initialize()
    graph = build_graph(checkpoint, "mean", precision)
    if precision.startswith("int8"):
        batches = shim_of(model).encode(many[:40], is_train=False).batches
        padded = [pad(batch) for batch in batches] if precision == "int8-static" else []
        samples = [
            {"input_ids": ids, "attention_mask": real.astype(np.int64)} for ids, real in padded
        ]
        graph = quantize(graph, samples)
    shim_of(model).exchange(checkpoint, graph.SerializeToString())
    alone = np.concatenate([model.predict([doc]) for doc in many])
    for size in (2, 3, 17, 64, 200):
        parts = [model.predict(many[start : start + size]) for start in range(0, 200, size)]
        np.testing.assert_allclose(np.concatenate(parts), alone, rtol=0, atol=1e-5)


def test_what_cannot_be_is_said(still: Path, build: Build) -> None:
    with pytest.raises(BertZhError, match=r"ONNX Runtime has no MyProvider here, only .*CPU"):
        build(providers=["MyProvider"])
    good = load_checkpoint(str(still))
    good.config["hidden_act"] = "softplus"
    with pytest.raises(BertZhError, match="hidden_act = 'softplus' can't be exported"):
        build_graph(good, "cls")
    good.config["hidden_act"] = "gelu"
    del good.weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(BertZhError, match=r"layer.1.output.dense.bias missing instead of \(16,\)"):
        build_graph(good, "cls")
