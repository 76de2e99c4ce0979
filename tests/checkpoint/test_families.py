"""Checkpoints of BERT's relatives: which one it is, what is folded, what can't be right."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForMaskedLM, RobertaConfig, RobertaForMaskedLM

from spacy_bert_zh.checkpoint import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from tests.backbones.families import FAMILIES, write_family

POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"


def set_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("kind", FAMILIES)
def test_each_becomes_a_bert(kind: str, tmp_path: Path) -> None:
    network = write_family(kind, tmp_path)
    checkpoint = load_checkpoint(str(tmp_path))
    assert checkpoint.config["model_type"] == ("electra" if kind == "electra" else "bert")
    offset = 2 if "roberta" in kind else 0  # the padding's id is 1
    table = network.embeddings.position_embeddings.weight.detach().numpy()
    np.testing.assert_array_equal(checkpoint.weights[POSITIONS], table[offset:])
    assert checkpoint.config["max_position_embeddings"] == 66 - offset
    assert "task_type_vocab_size" not in checkpoint.config
    assert not any("task" in name for name in checkpoint.weights)


@pytest.mark.parametrize("headed", [True, False])
def test_the_names_of_roberta_are_no_trap(headed: bool, tmp_path: Path) -> None:
    """BERTs that say "roberta" have BERT's positions, RoBERTas that say "bert" their own."""
    for folder, kind, said in (("a", "bert", "roberta"), ("b", "roberta", "bert")):
        network = write_family(kind, tmp_path / folder)
        if headed or kind == "roberta":  # without a head it has no name but that in its config
            AutoModelForMaskedLM.from_config(network.config).save_pretrained(tmp_path / folder)
        set_config(tmp_path / folder, model_type=said)
        config = load_checkpoint(str(tmp_path / folder)).config
        assert config["max_position_embeddings"] == (66 if kind == "bert" else 64)


def test_the_head_of_a_roberta_is_berts(tmp_path: Path) -> None:
    write_family("roberta", tmp_path)
    sizes = RobertaConfig.from_pretrained(tmp_path)
    model = RobertaForMaskedLM(sizes)
    model.save_pretrained(tmp_path)
    weights = load_checkpoint(str(tmp_path)).weights
    head = {name: t for name, t in weights.items() if name.startswith("cls.")}
    assert {name.removeprefix("cls.predictions.") for name in head} == {
        "bias",
        "transform.dense.weight",
        "transform.dense.bias",
        "transform.LayerNorm.weight",
        "transform.LayerNorm.bias",
    }
    dense = model.lm_head.dense.weight.detach().numpy()
    np.testing.assert_array_equal(head["cls.predictions.transform.dense.weight"], dense)


def test_no_token_types_are_one_row_of_zeros(tmp_path: Path) -> None:
    write_family("bert", tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    del weights[TYPES]
    save_file(weights, path)
    set_config(tmp_path, type_vocab_size=0)
    checkpoint = load_checkpoint(str(tmp_path))
    assert checkpoint.config["type_vocab_size"] == 1
    np.testing.assert_array_equal(checkpoint.weights[TYPES], np.zeros((1, 16), np.float32))


def test_an_electra_with_embeddings_of_full_width_is_a_bert(tmp_path: Path) -> None:
    write_family("electra", tmp_path, embedding_size=16)
    config = load_checkpoint(str(tmp_path)).config
    assert config["model_type"] == "bert" and "embedding_size" not in config


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("roberta", {"max_position_embeddings": 2}, "leaves no position: the first .* is 2"),
        ("roberta", {"max_position_embeddings": 67}, r"position_embeddings\.weight \(66, 16\)"),
        ("ernie", {"task_type_vocab_size": 10**9}, r"config\.json: task_type_vocab_size"),
        ("ernie", {"task_type_vocab_size": 4}, r"task_type_embeddings\.weight \(3, 16\)"),
        ("ernie", {"use_task_id": "yes"}, r"config\.json: use_task_id"),
        ("electra", {"embedding_size": 9}, r"embeddings\.weight .* instead of \(.*, 9\)"),
        ("electra", {"embedding_size": 10**9}, r"config\.json: embedding_size"),
        ("bert", {"model_type": ["bert"]}, "not a BERT"),
        ("bert", {"model_type": "xlm-roberta-xl"}, "not a BERT or one of its relatives"),
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
