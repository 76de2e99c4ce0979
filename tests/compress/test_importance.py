"""Heads and neurons: what matters is found, and what is left out is as if it were zero."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import Checkpoint, prune, save_checkpoint, whole_heads
from spacy_bert_zh.checkpoint.prune import Kept
from spacy_bert_zh.compress.importance import find_importance, narrow
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import shims_of, take_apart
from tests.compress.pipelines import ensemble, network
from tests.conftest import make_docs, make_examples, pipe_of

KEPT = [Kept(np.array([0, 2]), np.arange(0, 32, 3)), Kept(np.array([1, 3]), np.arange(11))]


def vectors(checkpoint: Checkpoint, pooling: Any = "mean") -> Any:
    backbone = build_torch_backbone_v1(max_length=48, pooling=pooling)
    backbone.shims[0].fill(checkpoint)
    return backbone.predict(make_docs())


def zeroed(checkpoint: Checkpoint, kept: list[Kept]) -> Checkpoint:
    """The whole network, whose other heads and neurons add nothing."""
    weights = {name: tensor.copy() for name, tensor in checkpoint.weights.items()}
    for number, one in enumerate(kept):
        layer = f"encoder.layer.{number}"
        heads = np.setdiff1d(np.arange(4), one.heads)
        columns = (heads[:, None] * 4 + np.arange(4)).ravel()
        weights[f"{layer}.attention.output.dense.weight"][:, columns] = 0
        neurons = np.setdiff1d(np.arange(32), one.neurons)
        weights[f"{layer}.output.dense.weight"][:, neurons] = 0
    return Checkpoint(checkpoint.config, checkpoint.tokenizer, weights)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_what_is_left_out_is_as_if_it_were_zero(pooling: Any, tmp_path: Path) -> None:
    whole = network()
    small = prune(whole, KEPT)
    expected = vectors(zeroed(whole, KEPT), pooling)
    assert abs(expected - vectors(whole, pooling)).max() > 0.01
    np.testing.assert_allclose(vectors(small, pooling), expected, atol=1e-5)
    again = Checkpoint.from_bytes(small.to_bytes())
    np.testing.assert_array_equal(vectors(again, pooling), vectors(small, pooling))
    save_checkpoint(whole_heads(small), tmp_path / "bert")
    from transformers import BertModel

    theirs = BertModel.from_pretrained(tmp_path / "bert")
    assert theirs.config.num_attention_heads == 4
    np.testing.assert_allclose(vectors(whole_heads(small), pooling), expected, atol=1e-5)


def test_engines_agree() -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    pytest.importorskip("onnx", reason="needs the extra [onnx-export]")
    from spacy_bert_zh.backbones.onnx.building import build_graph

    small = prune(network(), KEPT)
    graph = build_graph(small, "cls", "fp32")
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    backbone = build_torch_backbone_v1(max_length=48, pooling="cls")
    backbone.shims[0].fill(small)
    doc = make_docs()[:1]
    ids = backbone.shims[0].encode(doc, False).batches[0].ids[None]
    (found,) = session.run(["vectors"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    np.testing.assert_allclose(found, backbone.predict(doc), atol=1e-5)


def test_keras_agrees() -> None:
    pytest.importorskip("keras", reason="the extra [tensorflow] is not installed")
    from spacy_bert_zh.backbones.keras.backbone import build_keras_backbone_v1

    small = prune(network(), KEPT)
    backbone = build_keras_backbone_v1(max_length=48, pooling="mean")
    backbone.shims[0].fill(small)
    np.testing.assert_allclose(backbone.predict(make_docs()), vectors(small), atol=1e-4)


def test_importance_tells_what_answers_depend_on() -> None:
    nlp = ensemble()
    pipe = pipe_of(nlp)
    (shim,) = shims_of(pipe.model)
    checkpoint = shim.checkpoint()
    dead = checkpoint.weights["encoder.layer.0.output.dense.weight"]
    dead[:, 7] = 0  # whatever it computes, nobody hears it
    checkpoint.weights["encoder.layer.1.attention.output.dense.weight"][:, 4:8] = 0
    shim.fill(checkpoint)
    docs = [example.reference for example in make_examples(nlp, 40, 5)]
    found = find_importance(nlp, pipe, docs)
    assert [tuple(map(len, one)) for one in found] == [(4, 32), (4, 32)]
    assert found[0][1][7] == 0 < np.delete(found[0][1], 7).min()
    assert found[1][0][1] == 0 < np.delete(found[1][0], 1).min()
    small = narrow(take_apart(pipe).checkpoint, found, 0.75)
    assert small.config["num_attention_heads"] == 3 and small.config["intermediate_size"] == 24
    assert small.weights["encoder.layer.1.attention.self.query.weight"].shape == (12, 16)
    json.dumps(small.config)


def test_layers_that_would_differ_are_refused() -> None:
    with pytest.raises(BertZhError, match="as many heads and neurons"):
        prune(network(), [KEPT[0], Kept(np.array([0]), KEPT[1].neurons)])
