"""The torch backbone: the numbers of plain transformers, whatever the batch; safe to save."""

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import SGD, Adam, Model, fix_random_seed
from thinc.types import Floats2d
from tokenizers import Tokenizer
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertModel

from spacy_bert_zh.backbones.torch import bert as torch_bert
from spacy_bert_zh.backbones.torch import packed as torch_packed
from spacy_bert_zh.backbones.torch.backbone import TorchShim, build_torch_backbone_v1
from spacy_bert_zh.backbones.torch.bert import PooledBert, build_network
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.encoder import Batch, Documents, windows
from tests.conftest import TEXTS, make_docs, make_examples

Backbone = Model[list[Doc], Floats2d]
Build = Callable[..., Backbone]
Weights = dict[str, np.ndarray]

LENGTH, STRIDE = 32, 8


@pytest.fixture
def build(still: Path) -> Build:
    """Build a backbone with its weights."""

    def build(**settings: object) -> Backbone:
        given = {"max_length": LENGTH, "stride": STRIDE, "max_windows": 0, "pooling": "cls"}
        model = build_torch_backbone_v1(  # type: ignore[arg-type]
            **{"name": str(still), **given, **settings}
        )
        model.initialize()
        return model

    return build


def shim_of(model: Model) -> TorchShim:
    (shim,) = model.shims
    assert isinstance(shim, TorchShim)
    return shim


def network_of(model: Model) -> PooledBert:
    return shim_of(model).network


def weights_of(model: Model) -> Weights:
    return {k: v.detach().numpy().copy() for k, v in network_of(model).named_parameters()}


def gradients_of(model: Model) -> Weights:
    named = network_of(model).named_parameters()
    return {k: v.grad.numpy().copy() for k, v in named if v.grad is not None}


def assert_equal(left: Weights, right: Weights, tolerance: float = 0.0) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_allclose(values, right[name], rtol=0, atol=tolerance, err_msg=name)


def learn(model: Backbone, seed: int = 0) -> None:
    """Leave the gradients of an arbitrary loss."""
    docs = make_docs()
    vectors, backprop = model.begin_update(docs)
    backprop(np.random.default_rng(seed).normal(size=vectors.shape).astype("float32"))


def plain_vectors(bert: BertModel, folder: Path, pooling: str) -> torch.Tensor:
    """What a reader of the docstrings would write with transformers: a window at a time."""
    tokenizer = load_tokenizer(folder)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")

    def window(ids: list[int]) -> torch.Tensor:
        output = bert(torch.tensor([[cls, *ids, sep]]))
        hidden = output.last_hidden_state[0]
        return {"cls": hidden[0], "pooler": output.pooler_output[0], "mean": hidden.mean(0)}[
            pooling
        ]

    def document(text: str) -> torch.Tensor:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        spans = windows(len(ids), LENGTH - 2, STRIDE)
        return torch.stack([window(ids[start:end]) for start, end in spans]).mean(0)

    return torch.stack([document(text) for text in TEXTS])


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_vectors_of_plain_transformers(
    pooling: str, wide: bool, build: Build, still: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By oneDNN, as on a CPU with wide instructions, and by torch's own library."""
    monkeypatch.setattr(torch_packed, "WIDE", wide)
    vectors = build(pooling=pooling).predict(make_docs())
    assert vectors.dtype == np.float32
    with torch.no_grad():
        expected = plain_vectors(BertModel.from_pretrained(still), still, pooling).numpy()
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=2e-6)
    assert np.abs(expected[0] - expected[2]).max() > 0.01


class Products(TorchDispatchMode):
    """Notes how many rows oneDNN multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if "_linear_pointwise" in str(function):
            self.rows.add(len(args[0]))
        return function(*args, **(kwargs or {}))


def test_onednn_sees_few_numbers_of_rows(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps memory for each number that it has seen."""
    monkeypatch.setattr(torch_packed, "WIDE", True)
    model, pieces = build(pooling="mean"), set()
    with Products() as products:
        for count in range(1, 200):
            docs = Documents(make_docs(["好" * count]))
            model.predict(docs)
            pieces.add(docs.readings[0]["pieces"])
    assert len(pieces) == 199
    assert 8 < len(products.rows) < 20


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_gradients_of_plain_transformers(pooling: str, build: Build, still: Path) -> None:
    model, plain = build(pooling=pooling), BertModel.from_pretrained(still)
    vectors, backprop = model.begin_update(make_docs())
    gradient = np.random.default_rng(0).normal(size=vectors.shape).astype("float32")
    backprop(gradient)
    plain_vectors(plain, still, pooling).backward(torch.from_numpy(gradient))
    expected = {
        f"bert.{k}": v.grad.numpy() for k, v in plain.named_parameters() if v.grad is not None
    }
    assert_equal(gradients_of(model), expected, 2e-4)
    assert len(expected) == len(weights_of(model))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_text_has_its_vector_alone_and_in_any_company(pooling: str, build: Build) -> None:
    model = build(pooling=pooling)
    together = model.predict(make_docs())
    backwards = model.predict(make_docs(reversed(TEXTS)))[::-1]
    alone = np.concatenate([model.predict([doc]) for doc in make_docs()])
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-6)
    np.testing.assert_allclose(backwards, alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padded_attention_gives_the_same(
    pooling: str, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU windows of different lengths attend in one call."""
    model = build(pooling=pooling)
    vectors = model.predict(make_docs())
    learn(model)
    gradients = gradients_of(model)
    padded = build(pooling=pooling)
    monkeypatch.setattr(torch_packed, "most_padding", lambda device: 1000)
    np.testing.assert_allclose(padded.predict(make_docs()), vectors, rtol=0, atol=2e-6)
    learn(padded)
    assert_equal(gradients_of(padded), gradients, 2e-4)


def test_out_of_memory_halves_the_batch_and_loses_no_text(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    whole = model.predict(make_docs())

    def small_memory(bert: BertModel, batch: Batch, **settings: bool) -> torch.Tensor:
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        sizes.append(len(batch))
        return torch_packed.encode(bert, batch, **settings)

    sizes: list[int] = []
    monkeypatch.setattr(torch_bert, "encode", small_memory)
    with pytest.warns(UserWarning, match="Out of GPU memory") as warned:
        np.testing.assert_allclose(model.predict(make_docs()), whole, rtol=0, atol=2e-6)
        model.predict(make_docs())
    assert len(warned) == 1
    assert set(sizes) == {1, 2}


def test_the_same_text_is_computed_once(build: Build) -> None:
    model = build()
    pieces: list[int] = []
    network_of(model).bert.embeddings.register_forward_hook(
        lambda module, given, found: pieces.append(found.shape[1])
    )
    vectors = model.predict(make_docs([*TEXTS, *TEXTS]))
    once = sum(pieces)
    np.testing.assert_array_equal(vectors[: len(TEXTS)], vectors[len(TEXTS) :])
    model.predict(make_docs())
    assert sum(pieces) == 2 * once


def test_nothing_is_padded_and_pieces_are_made_once(build: Build) -> None:
    model = build()
    shim = shim_of(model)
    calls: list[int] = []
    pieces: list[int] = []

    class Counting:
        def __init__(self, tokenizer: Tokenizer) -> None:
            self.token_to_id = tokenizer.token_to_id
            self._tokenizer = tokenizer

        def encode_batch_fast(self, texts: list[str], **settings: bool) -> list[Any]:
            calls.append(len(texts))
            return list(self._tokenizer.encode_batch_fast(texts, **settings))

    encoder = shim._encoder
    shim._encoder = replace(encoder, tokenizer=Counting(encoder.tokenizer))
    network_of(model).bert.embeddings.register_forward_hook(
        lambda module, given, found: pieces.append(found.shape[1])
    )
    model.predict(make_docs())
    ids = [encoder.tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    different = {
        tuple(row[start:end]) for row in ids for start, end in windows(len(row), LENGTH - 2, STRIDE)
    }
    assert calls == [len(TEXTS)]
    assert sum(pieces) == sum(len(window) + 2 for window in different)


def test_no_documents(build: Build) -> None:
    model = build()
    assert model.predict([]).shape == (0, 16)
    vectors, backprop = model.begin_update([])
    assert vectors.shape == (0, 16)
    assert backprop(vectors) == []


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


def test_mixed_precision_is_close_and_keeps_float32(build: Build) -> None:
    exact, mixed = build(), build(mixed_precision=True)
    vectors = mixed.predict(make_docs())
    difference = np.abs(vectors - exact.predict(make_docs())).max()
    assert 0 < difference < 0.1
    assert vectors.dtype == np.float32
    learn(mixed)
    mixed.finish_update(SGD(0.1))
    assert {v.dtype for v in weights_of(mixed).values()} == {np.dtype("float32")}


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
def test_a_config_without_sense_is_one_clear_line(checkpoint: Path, change: dict[str, Any]) -> None:
    good = load_checkpoint(str(checkpoint))
    with pytest.raises(BertZhError, match=r"config\.json"):
        build_network(replace(good, config={**good.config, **change}), "cls")
