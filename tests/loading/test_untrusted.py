"""Files and checkpoints of others: what can't be right is one line, and costs nothing."""

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import srsly
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import MOST_VALUES, check_msgpack, parse_json, read_bytes

NESTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(NESTED, st.data())
def test_what_msgpack_writes_passes_and_its_parts_dont(value: Any, data: st.DataObject) -> None:
    message = srsly.msgpack_dumps(value)
    check_msgpack(message, "x")
    end = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(BertZhError, match=r"cut off|damaged"):
        check_msgpack(message[:end], "x")


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdc\xff\xff" * 100,
        b"\xdd\x00\x98\x96\x80" + b"\x80" * 10_000_000,
        b"\x91" * 2_000 + b"\x00",
        b"\xc7\x01\x01a",
        b"\xc1",
    ],
)
def test_messages_that_swell_cost_nothing(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BertZhError):
            check_msgpack(bomb, "x")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 < MOST_VALUES * 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "[]", "null", "{", "1" * 10_000])
def test_json_that_is_no_object(text: str) -> None:
    with pytest.raises(BertZhError, match=r"^x is "):
        parse_json(text, "x")


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_bytes(tmp_path / "link", 5) == b"12345"
    for path, message in (
        (tmp_path / "a", "has 5 bytes, more than 4"),
        (tmp_path, "is no file"),
        (Path("/dev/zero"), "is no file"),
        (tmp_path / "none", "is missing"),
    ):
        with pytest.raises(BertZhError, match=message):
            read_bytes(path, 4)


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to change."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def set_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hidden_layers": 20_000}, "num_hidden_layers = 20000"),
        ({"num_hidden_layers": 900}, r"layer\.2\..* missing instead of .* more"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0"),
        ({"hidden_size": 200_000}, r"instead of \(\d+, 200000\)"),
        ({"intermediate_size": 200_000}, r"instead of \(200000, 16\)"),
        ({"vocab_size": 1_000_000}, r"instead of \(1000000, 16\)"),
        ({"max_position_embeddings": 10**6}, r"instead of \(1000000, 16\)"),
        ({"type_vocab_size": 10**6}, r"instead of \(1000000, 16\)"),
        ({"num_attention_heads": 3}, "no multiple of num_attention_heads = 3"),
        ({"num_attention_heads": -2}, "num_attention_heads = -2"),
        ({"hidden_size": "16"}, "hidden_size = '16', but it should be a valid integer"),
        ({"hidden_size": None}, "hidden_size = None"),
        ({"hidden_size": True}, "hidden_size = True"),
        ({"hidden_size": [16]}, r"hidden_size = \[16\]"),
        ({"hidden_size": {"a": 1}}, "hidden_size = {'a': 1}"),
        ({"hidden_size": 16.5}, r"hidden_size = 16\.5"),
        ({"hidden_size": 10**30}, "hidden_size = 1000000"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps = nan"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps = inf"),
        ({"hidden_dropout_prob": -1}, "hidden_dropout_prob = -1"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"pad_token_id": 10**6}, "pad_token_id = 1000000 is no piece"),
        ({"model_type": ["bert"]}, r"describes a \['bert'\] model"),
        ({"is_decoder": True}, "is_decoder = True"),
    ],
)
@pytest.mark.parametrize("build", [build_torch_backbone_v1, build_onnx_backbone_v1])
def test_a_config_that_lies_is_found_before_anything_is_built(
    build: Any, values: dict[str, Any], message: str, folder: Path
) -> None:
    set_config(folder, **values)
    with pytest.raises(BertZhError, match=message):
        build(name=str(folder), max_length=64, stride=8).initialize()


def test_pretraining_reads_checkpoints_by_the_same_door(folder: Path) -> None:
    from spacy_bert_zh.pretrain.network import load_model

    model, has_head = load_model(folder, 0.0)
    assert has_head
    weights = load_file(folder / "model.safetensors")
    for name, values in model.state_dict().items():
        if name in weights:
            np.testing.assert_array_equal(values.numpy(), weights[name])
    set_config(folder, hidden_size=200_000)
    with pytest.raises(BertZhError, match="200000"):
        load_model(folder, 0.0)


def write_header(path: Path, change: Any) -> None:
    """Change the header of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    change(header)
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data[8 + size :])


WORDS = "bert.embeddings.word_embeddings.weight"


def test_headers_that_lie(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for change in (
        lambda header: header[WORDS].update(shape=[2**40, 16]),
        lambda header: header[WORDS].update(shape=[-1, 16]),
        lambda header: header[WORDS].update(shape="x"),
        lambda header: header[WORDS].update(data_offsets=[0, 2**50]),
        lambda header: header[WORDS].update(dtype="F9"),
        lambda header: header.update(x=1),
    ):
        path.write_bytes(whole)
        write_header(path, change)
        with pytest.raises(BertZhError, match=r"model\.safetensors can't be read"):
            load_checkpoint(str(folder))
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(BertZhError, match=r"model\.safetensors can't be read"):
        load_checkpoint(str(folder))


def test_weights_of_other_types_and_values(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, WORDS: weights[WORDS].astype("int8")}, path)
    with pytest.raises(BertZhError, match=r"word_embeddings\.weight are I8"):
        load_checkpoint(str(folder))
    weights[WORDS][3, 3] = np.nan
    save_file(weights, path)
    with pytest.raises(BertZhError, match=r"word_embeddings\.weight hold NaN"):
        load_checkpoint(str(folder))


def test_only_tensors_that_are_needed_are_read(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, "something.else": np.zeros((2_000, 10_000), "float32")}, path)
    tracemalloc.start()
    try:
        load_checkpoint(str(folder))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_shards_are_those_of_the_index(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: weights[name] for name in part}, folder / file)
    index = {name: file for file, part in halves.items() for name in part}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": index}))
    save_file(weights, folder / "old.safetensors")
    expected = load_checkpoint(str(folder)).weights
    assert len(expected) >= 37
    path.unlink()
    with pytest.raises(BertZhError, match=r"old\.safetensors and a\.safetensors both hold"):
        load_checkpoint(str(folder))
    for wrong, message in (
        ({names[0]: "../a.safetensors"}, "weight_map"),
        ({names[0]: "none.safetensors"}, "names files that are missing"),
        ([], "weight_map"),
    ):
        path.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(BertZhError, match=message):
            load_checkpoint(str(folder))
