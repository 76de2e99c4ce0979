"""The torch backbone: learns as it is told, is safe to save, says what doesn't fit."""

import copy
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thinc.api import SGD, Adam, fix_random_seed
from thinc.types import Floats2d

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.backbones.torch.bert import build_network
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from tests.backbones.weights import (
    LENGTH,
    STRIDE,
    Backbone,
    Build,
    Weights,
    assert_equal,
    gradients_of,
    learn,
    network_of,
    shim_of,
    weights_of,
)
from tests.conftest import TEXTS, make_docs, make_examples


def test_two_updates_accumulate(build: Build) -> None:
    model = build()
    learn(model, 1)
    first = gradients_of(model)
    learn(model, 1)
    assert_equal(gradients_of(model), {k: 2 * v for k, v in first.items()}, 1e-4)


def test_gradient_checkpointing_computes_twice_and_changes_nothing(build: Build) -> None:
    usual, frugal = build(), build(gradient_checkpointing=True)
    passes: list[int] = []
    for i, model in enumerate((usual, frugal)):
        layer = network_of(model).bert.encoder.layer[0].output.dense
        layer.register_forward_hook(lambda *_, i=i: passes.append(i))
        learn(model)
    assert passes.count(1) == 2 * passes.count(0)
    assert_equal(gradients_of(usual), gradients_of(frugal), 1e-6)
    np.testing.assert_array_equal(usual.predict(make_docs()), frugal.predict(make_docs()))


def test_dropout_follows_the_seed(checkpoint: Path, build: Build) -> None:
    model = build(name=str(checkpoint))

    def train_pass(seed: int) -> Floats2d:
        fix_random_seed(seed)
        return model.begin_update(make_docs())[0]

    np.testing.assert_array_equal(train_pass(0), train_pass(0))
    assert np.abs(train_pass(0) - train_pass(1)).max() > 1e-3
    np.testing.assert_array_equal(model.predict(make_docs()), model.predict(make_docs()))


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_stay(frozen: int, build: Build) -> None:
    model = build(pooling="pooler", freeze_layers=frozen)
    before = weights_of(model)
    learn(model)
    model.finish_update(SGD(0.1, L2=0.1))
    changed = {k for k, v in weights_of(model).items() if (v != before[k]).any()}
    low = ("bert.embeddings.", *(f"bert.encoder.layer.{i}." for i in range(frozen)))
    assert changed == {k for k in before if not (frozen and k.startswith(low))}


def test_all_frozen_learns_nothing_and_does_not_fail(build: Build) -> None:
    model = build(pooling="cls", freeze_layers=2)
    before = weights_of(model)
    learn(model)
    model.finish_update(SGD(0.1))
    assert_equal(weights_of(model), before)


def test_lower_layers_learn_slower(build: Build) -> None:
    def steps(decay: float) -> Weights:
        model = build(pooling="pooler", layer_decay=decay)
        before = weights_of(model)
        learn(model)
        model.finish_update(SGD(0.01, grad_clip=0.0, use_averages=False))
        return {k: v - before[k] for k, v in weights_of(model).items()}

    scales = {
        "bert.embeddings.": 0.125,
        "bert.encoder.layer.0.": 0.25,
        "bert.encoder.layer.1.": 0.5,
        "bert.pooler.": 1.0,
    }
    plain, slower = steps(1.0), steps(0.5)
    for start, scale in scales.items():
        part = [name for name in plain if name.startswith(start)]
        assert part
        for name in part:
            np.testing.assert_allclose(slower[name], scale * plain[name], rtol=0, atol=1e-6)


def test_averages_are_computed_used_and_put_back(build: Build) -> None:
    model, optimizer = build(), Adam(0.01, use_averages=True)
    averages = {name: np.zeros_like(values) for name, values in weights_of(model).items()}
    for t in range(1, 6):
        learn(model, t)
        model.finish_update(optimizer)
        keep = (1 + t) / (10 + t)
        averages = {k: keep * averages[k] + (1 - keep) * v for k, v in weights_of(model).items()}
    weights, vectors = weights_of(model), model.predict(make_docs())

    with model.use_params(optimizer.averages):
        assert_equal(weights_of(model), averages, 1e-6)
        averaged, saved = model.predict(make_docs()), model.to_bytes()
    assert np.abs(averaged - vectors).max() > 1e-3
    np.testing.assert_array_equal(build().from_bytes(saved).predict(make_docs()), averaged)

    assert_equal(weights_of(model), weights)
    with pytest.raises(KeyError), model.use_params(optimizer.averages):
        raise KeyError
    assert_equal(weights_of(model), weights)


def test_every_way_to_copy_keeps_every_bit(build: Build, tmp_path: Path) -> None:
    model = build()
    learn(model)
    model.finish_update(Adam(0.01))
    model.to_disk(tmp_path / "model")
    empty = build_torch_backbone_v1(max_length=LENGTH, stride=STRIDE, max_windows=0, pooling="cls")
    copies = {
        "bytes": empty.copy().from_bytes(model.to_bytes()),
        "disk": empty.copy().from_disk(tmp_path / "model"),
        "deepcopy": copy.deepcopy(model),
        "copy": model.copy(),
        "pickle": pickle.loads(pickle.dumps(model)),
    }
    vectors = model.predict(make_docs())
    for made in copies.values():
        assert_equal(weights_of(made), weights_of(model))
        np.testing.assert_array_equal(made.predict(make_docs()), vectors)
        assert made.to_bytes() == model.to_bytes()
    assert {v.dtype for v in weights_of(model).values()} == {np.dtype("float32")}


def test_a_copy_learns_apart(build: Build) -> None:
    model = build()
    before, made = weights_of(model), model.copy()
    learn(made)
    made.finish_update(SGD(0.1))
    assert_equal(weights_of(model), before)


LOAD = """
import sys, json, spacy, torch, numpy as np

def refuse(event, args):
    if event in ("pickle.find_class", "socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} {args}")

texts = json.loads(sys.argv[2])
sys.addaudithook(refuse)
nlp = spacy.load(sys.argv[1])
print(json.dumps([doc.cats for doc in nlp.pipe(texts)]))
"""


def test_loads_without_network_checkpoint_or_pickle(
    make_pipeline: Callable, tmp_path: Path
) -> None:
    nlp = make_pipeline()
    examples = make_examples(nlp, 8)
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path / "pipeline")
    command = [sys.executable, "-c", LOAD, tmp_path / "pipeline", json.dumps(TEXTS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(done.stdout) == [doc.cats for doc in nlp.pipe(TEXTS)]


@pytest.mark.parametrize("use", [lambda m: m.predict(make_docs()), lambda m: m.begin_update([])])
def test_without_weights_it_says_what_to_do(use: Callable[[Backbone], object]) -> None:
    with pytest.raises(BertZhError, match=r"call nlp\.initialize\(\), or load"):
        use(build_torch_backbone_v1())


def test_without_weights_it_can_still_be_saved() -> None:
    model = build_torch_backbone_v1()
    assert not shim_of(build_torch_backbone_v1().from_bytes(model.to_bytes())).is_filled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 2}, "max_length = 2 leaves no room"),
        ({"stride": 30}, "stride = 30 must be at least 0 and smaller"),
        ({"stride": -1}, "stride = -1 must be at least 0"),
        ({"max_length": 65}, "max_length = 65, but the checkpoint has only 64 positions"),
        ({"freeze_layers": 3}, "freeze_layers = 3, but the checkpoint has 2"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, int], message: str, build: Build) -> None:
    with pytest.raises(BertZhError, match=message):
        build(**settings)


def test_config_may_ask_for_tuples(still: Path, build: Build, tmp_path: Path) -> None:
    """`return_dict: false` is an option of transformers that changes no number."""
    for name in ("vocab.txt", "model.safetensors"):
        (tmp_path / name).write_bytes((still / name).read_bytes())
    config = json.loads((still / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "return_dict": False}))
    vectors = build(name=str(tmp_path)).predict(make_docs())
    np.testing.assert_array_equal(vectors, build().predict(make_docs()))


@pytest.mark.parametrize(
    "change", [{"hidden_act": "gelu_of_mine"}, {"num_attention_heads": 3}, {"vocab_size": "many"}]
)
def test_a_config_without_sense_is_one_clear_line(
    checkpoint: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(BertZhError, match=r"config\.json"):
        build_network(load_checkpoint(str(folder)), "cls")
