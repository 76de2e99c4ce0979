"""Checkpoints: every BERT in the Hugging Face layout, and a clear line for anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import deserialize
from safetensors.torch import load_file, save_file
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
)

from spacy_bert_zh.backbones.torch.bert import build_network
from spacy_bert_zh.checkpoint.folder import Checkpoint, load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.encoder import EMBEDDED

Change = Callable[[Path], object]


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to change."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def write_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def set_config(**values: object) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def encoder_of(model: PreTrainedModel) -> dict[str, np.ndarray]:
    """The encoder's weights, named as in `BertModel`."""
    bert = getattr(model, "bert", model)
    return {name: tensor.numpy() for name, tensor in bert.state_dict().items()}


def assert_same(checkpoint: Checkpoint, expected: dict[str, np.ndarray]) -> None:
    assert checkpoint.weights is not None
    for name, values in expected.items():
        assert checkpoint.weights[name].dtype == np.float32
        np.testing.assert_array_equal(checkpoint.weights[name], values, err_msg=name)


@pytest.mark.parametrize(
    "architecture", [BertModel, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification]
)
def test_every_bert_is_read_and_heads_of_other_tasks_left(architecture: Any, folder: Path) -> None:
    model = architecture(BertConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    checkpoint = load_checkpoint(str(folder))
    assert checkpoint.weights is not None
    heads = {key for key in checkpoint.weights if key.startswith("cls.")}
    assert {key.split(".")[0] for key in checkpoint.weights.keys() - heads} <= {
        "embeddings",
        "encoder",
        "pooler",
    }
    masked = architecture in (BertForMaskedLM, BertForPreTraining)
    assert len(heads) == 5 * masked
    assert all(key.startswith("cls.predictions.") for key in heads)
    assert_same(checkpoint, encoder_of(model))


def test_names_of_the_first_checkpoints(folder: Path) -> None:
    def old_name(key: str) -> str:
        return key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )

    expected = encoder_of(BertForMaskedLM.from_pretrained(folder))
    weights = {old_name(key): tensor for key, tensor in read_weights(folder).items()}
    weights["bert.embeddings.position_ids"] = torch.arange(64)[None]
    write_weights(folder, weights)
    assert any(key.endswith("LayerNorm.gamma") for key in weights)
    assert_same(load_checkpoint(str(folder)), expected)


def test_shards(folder: Path) -> None:
    model = BertForMaskedLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="5KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert_same(load_checkpoint(str(folder)), encoder_of(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype: torch.dtype, folder: Path) -> None:
    weights = {key: tensor.to(dtype) for key, tensor in read_weights(folder).items()}
    write_weights(folder, weights)
    set_config(torch_dtype=str(dtype).removeprefix("torch."))(folder)
    checkpoint = load_checkpoint(str(folder))
    bert = {k.removeprefix("bert."): v.float().numpy() for k, v in weights.items()}
    assert_same(checkpoint, {k: v for k, v in bert.items() if not k.startswith("cls.")})
    network = build_network(checkpoint, "cls")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("architecture", [BertModel, BertForMaskedLM])
def test_a_bert_that_says_roberta(architecture: Any, folder: Path) -> None:
    model = architecture(BertConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    set_config(model_type="roberta")(folder)
    checkpoint = load_checkpoint(str(folder))
    assert checkpoint.config["model_type"] == "bert"
    assert_same(checkpoint, encoder_of(model))


@pytest.mark.parametrize(
    ("config", "architecture", "message"),
    [
        (AlbertConfig, AlbertModel, "describes a 'albert' model, not a BERT .*RoBERTa, XLM-R"),
        (DistilBertConfig, DistilBertModel, "describes a 'distilbert' model, not a BERT"),
    ],
)
def test_other_networks_are_refused(
    config: Any, architecture: Any, message: str, folder: Path
) -> None:
    sizes = BertConfig.from_pretrained(folder)
    small = config(
        vocab_size=sizes.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        dim=48,
    )
    architecture(small).save_pretrained(folder)
    with pytest.raises(BertZhError, match=message):
        load_checkpoint(str(folder))


def repeat_pieces(folder: Path) -> None:
    path = folder / "vocab.txt"
    path.write_text(path.read_text("utf-8") + "a\na\na\n", "utf-8")


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def write(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "No config.json in"),
        (lambda folder: (folder / "vocab.txt").unlink(), "No vocabulary in"),
        (lambda folder: (folder / "model.safetensors").unlink(), "expected model.safetensors"),
        (only_pickle, r"only as pickle .*Convert it once: python -c .*save_pretrained"),
        (write("config.json", b"{"), "config.json is not valid JSON"),
        (write("config.json", b"[]"), "config.json is not a JSON object"),
        (write("config.json", b"{}"), "lacks hidden_size, num_hidden_layers, vocab_size"),
        (write("model.safetensors", b"not tensors"), "model.safetensors can't be read"),
        (write("model.safetensors", b""), "model.safetensors can't be read"),
        (cut_weights, "model.safetensors can't be read"),
        (set_config(vocab_size=10), r"has \d+ pieces, but config.json says vocab_size = 10"),
        (repeat_pieces, r"line \d+, has the piece 'a' of line \d+ again"),
        (
            set_config(position_embedding_type="relative_key"),
            "'relative_key', but it should be 'absolute'",
        ),
    ],
)
def test_what_is_wrong_is_said(change: Change, message: str, folder: Path) -> None:
    change(folder)
    with pytest.raises(BertZhError, match=message) as info:
        load_checkpoint(str(folder))
    assert str(folder) in str(info.value)
    assert "\n" not in str(info.value)


def drop_two(weights: dict[str, torch.Tensor]) -> None:
    for name in ("query.weight", "query.bias"):
        del weights[f"bert.encoder.layer.1.attention.self.{name}"]


def shorten(weights: dict[str, torch.Tensor]) -> None:
    name = "bert.embeddings.position_embeddings.weight"
    weights[name] = weights[name][:32].clone()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_two, r"layer\.1\.attention\.self\.query\.weight missing instead of \(16, 16\); "),
        (shorten, r"embeddings\.position_embeddings\.weight \(32, 16\) instead of \(64, 16\)$"),
        (dict.clear, r"word_embeddings\.weight missing instead of .* and \d+ more$"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: Any, message: str, folder: Path) -> None:
    weights = read_weights(folder)
    change(weights)
    write_weights(folder, weights)
    with pytest.raises(BertZhError, match=message):
        build_network(load_checkpoint(str(folder)), "cls")


def test_pooler_is_asked_for_only_where_it_is_used(checkpoint: Path) -> None:
    plain = load_checkpoint(str(checkpoint))  # a masked language model has none
    build_network(plain, "mean")
    with pytest.raises(BertZhError, match=r"pooling = 'pooler': pooler\.dense\.weight missing"):
        build_network(plain, "pooler")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./no/such/bert", "No such checkpoint folder: ./no/such/bert"),
        ("/no/such/bert", "No such checkpoint folder: /no/such/bert"),
        ("no-such-owner/bert", "'no-such-owner/bert' is neither a local folder nor"),
        ("not a name", "'not a name' is neither a local folder nor"),
    ],
)
def test_unknown_names_are_one_line(name: str, message: str) -> None:
    with pytest.raises(BertZhError, match=message) as info:
        load_checkpoint(name)
    assert "\n" not in str(info.value)


def test_round_trip_keeps_every_bit(checkpoint: Path) -> None:
    before = load_checkpoint(str(checkpoint))
    after = Checkpoint.from_bytes(before.to_bytes())
    assert after.config == before.config
    assert after.tokenizer.to_str() == before.tokenizer.to_str()
    assert_same(after, before.weights)
    assert after.to_bytes() == before.to_bytes()


def test_the_checkpoint_that_ships_is_small_half_precision_and_pretrained() -> None:
    file = EMBEDDED / "model.safetensors"
    assert file.stat().st_size <= 24_000_000
    assert {t["dtype"] for _, t in deserialize(file.read_bytes())} == {"F16"}
    default = load_checkpoint(None)
    assert default.tokenizer.get_vocab_size() == default.config["vocab_size"]

    def similarity(one: str, other: str) -> float:
        table = default.weights["embeddings.word_embeddings.weight"]
        a, b = (table[default.tokenizer.token_to_id(piece)] for piece in (one, other))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    # Random weights know no meaning.
    assert similarity("猫", "狗") > similarity("猫", "税") + 0.1
    assert similarity("北京", "上海") > similarity("北京", "手机") + 0.1


def test_the_masked_language_head_ships_too() -> None:
    from transformers import AutoModelForMaskedLM

    model, report = AutoModelForMaskedLM.from_pretrained(EMBEDDED, output_loading_info=True)
    assert not report["missing_keys"]
    tokenizer = load_checkpoint(None).tokenizer
    ids = tokenizer.encode("[CLS]股市大[MASK]，投资者损失[SEP]", add_special_tokens=False).ids
    with torch.inference_mode():
        scores = model.float()(input_ids=torch.tensor([ids])).logits[0]
    best = scores[ids.index(tokenizer.token_to_id("[MASK]"))].topk(5).indices.tolist()
    assert {tokenizer.token_to_id(word) for word in ("跌", "下跌", "大跌", "暴跌")} & set(best)


def test_no_path_of_another_machine_is_kept(folder: Path) -> None:
    set_config(_name_or_path="/home/somebody/secret")(folder)
    assert b"somebody" not in load_checkpoint(str(folder)).to_bytes()
