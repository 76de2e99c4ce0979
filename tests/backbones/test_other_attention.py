"""RoFormer, ModernBERT and DeBERTa-v2: vectors and gradients as `transformers` has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.onnx.building import build_graph
from spacy_bert_zh.backbones.onnx.quantize import quantize
from spacy_bert_zh.backbones.torch import attention
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import load_checkpoint, load_tokenizer, save_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.network import load_model
from tests.backbones.families import OTHERS, assert_same_vectors, built, vectors_of, write_family
from tests.checkpoint.test_families import set_config
from tests.conftest import TEXTS, make_docs

KINDS = ("roformer", "modernbert", "deberta-v2")


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("padded", [False, True])
def test_vectors_are_those_of_transformers(
    kind: str, padded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if padded:  # as on a GPU
        monkeypatch.setattr(attention, "most_padding", lambda device: 10_000)
    assert_same_vectors(build_torch_backbone_v1, kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_read_in_windows(kind: str, tmp_path: Path) -> None:
    network = write_family(kind, tmp_path)
    model: Any = build_torch_backbone_v1(str(tmp_path), max_length=12, stride=0, max_windows=0)
    model.initialize()
    text = "老板服务冷淡，分量少" * 4  # 40 pieces
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    cls, sep = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
    windows = [[cls, *ids[at : at + 10], sep] for at in range(0, len(ids), 10)]
    with torch.inference_mode():
        states = [network(torch.tensor([window])).last_hidden_state[0] for window in windows]
    expected = torch.stack([state.mean(0) for state in states]).mean(0).numpy()
    assert len(windows) > 3 and not len(ids) % 10
    found = model.predict(make_docs([text]))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_transformers(
    kind: str, checkpointing: bool, tmp_path: Path
) -> None:
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    network = write_family(kind, tmp_path, **still)
    settings = {"gradient_checkpointing": checkpointing, "mixed_precision": False}
    model = built(build_torch_backbone_v1, tmp_path, "mean", **settings)
    vectors, backprop = model.begin_update(make_docs(TEXTS[:1]))
    direction = np.random.default_rng(0).normal(size=vectors.shape).astype("float32")
    backprop(direction)
    learnt: dict[str, Any] = {}

    def collect(key: Any, weights: Any, gradient: Any, **_: Any) -> Any:
        learnt[key[1]] = gradient.copy()
        return weights, gradient

    model.shims[0].finish_update(collect)
    assert learnt.keys() == model.shims[0].checkpoint().weights.keys()
    assert all(np.isfinite(gradient).all() for gradient in learnt.values())
    tokenizer = load_tokenizer(tmp_path)
    cls, sep = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
    ids = tokenizer.encode(TEXTS[0], add_special_tokens=False).ids[:30]
    states = network(torch.tensor([[cls, *ids, sep]])).last_hidden_state[0]
    (states.mean(0) @ torch.from_numpy(direction[0])).backward()
    words = network.get_input_embeddings().weight.grad.numpy()
    np.testing.assert_allclose(
        learnt["embeddings.word_embeddings.weight"], words, rtol=1e-3, atol=1e-5
    )
    if kind.startswith("deberta"):
        relative = network.encoder.rel_embeddings.weight.grad.numpy()
        np.testing.assert_allclose(
            learnt["embeddings.relative_embeddings.weight"], relative, rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_exported_is_read_by_transformers(kind: str, tmp_path: Path) -> None:
    network = write_family(kind, tmp_path / "given")
    expected = vectors_of(network, tmp_path / "given", "cls")
    checkpoint = load_checkpoint(str(tmp_path / "given"))
    save_checkpoint(checkpoint, tmp_path / "made")
    made = AutoModel.from_pretrained(tmp_path / "made").eval()
    np.testing.assert_allclose(
        vectors_of(made, tmp_path / "made", "cls"), expected, rtol=0, atol=1e-5
    )
    again = load_checkpoint(str(tmp_path / "made")).weights
    assert again.keys() == checkpoint.weights.keys()
    assert all((again[name] == tensor).all() for name, tensor in checkpoint.weights.items())


@pytest.mark.parametrize("kind", OTHERS)
def test_onnx_gives_the_same(kind: str, tmp_path: Path) -> None:
    assert_same_vectors(build_onnx_backbone_v1, kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_eight_bits_stay_close(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    checkpoint = load_checkpoint(str(tmp_path))
    model = built(build_onnx_backbone_v1, tmp_path, "mean")
    exact = model.predict(make_docs())
    small = quantize(build_graph(checkpoint, "mean", "int8"))
    model.shims[0].exchange(checkpoint, small.SerializeToString())
    assert 0 < abs(model.predict(make_docs()) - exact).max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_isnt_for_is_one_line(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    with pytest.raises(BertZhError, match=f"{kind} has no pooler"):
        built(build_torch_backbone_v1, tmp_path, "pooler")
    with pytest.raises(BertZhError, match=f"is a {kind}, which isn't pretrained here"):
        load_model(tmp_path, 0.0)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("roformer", {"norm_type": "rms_norm"}, "norm_type"),
        ("roformer", {"num_attention_heads": 16}, "width of a head is odd"),
        ("modernbert", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
        ("modernbert", {"attention_bias": True}, r"query\.bias missing"),
        ("modernbert", {"hidden_size": 20}, r"instead of \(.*, 20\)"),
        ("deberta-v2", {"relative_attention": False}, "relative_attention"),
        ("deberta-v2", {"conv_kernel_size": 3}, "conv_kernel_size"),
        ("deberta-v2", {"position_buckets": 16}, r"relative_embeddings\.weight \(16, 16\)"),
        ("deberta-v2", {"pos_att_type": ["p2p"]}, "pos_att_type"),
    ],
)
def test_what_cant_be_right_is_one_line(
    kind: str, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_family(kind, tmp_path)
    set_config(tmp_path, **values)
    with pytest.raises(BertZhError, match=message) as info:
        load_checkpoint(str(tmp_path))
    assert "\n" not in str(info.value) and str(tmp_path) in str(info.value)
