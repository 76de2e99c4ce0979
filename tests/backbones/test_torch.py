"""The torch backbone: the numbers of plain transformers, whatever the batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from thinc.api import SGD
from tokenizers import Tokenizer
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertModel

from spacy_bert_zh.backbones.torch import attention as torch_attention
from spacy_bert_zh.backbones.torch import bert as torch_bert
from spacy_bert_zh.backbones.torch import packed as torch_packed
from spacy_bert_zh.backbones.torch import precision
from spacy_bert_zh.backbones.torch.layers import Bert
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.pieces.encoder import Batch, Documents, windows
from tests.backbones.weights import (
    LENGTH,
    STRIDE,
    Build,
    assert_equal,
    gradients_of,
    learn,
    network_of,
    shim_of,
    weights_of,
)
from tests.conftest import TEXTS, make_docs


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


def test_onednn_multiplies_few_rows_for_nothing() -> None:
    counts = range(1, 1025)
    rows = {count: count + torch_packed._missing(count) for count in counts}
    assert all(0 <= rows[count] - count < count / 2 + 1 for count in counts)
    assert all(rows[count] - count <= count / 8 for count in counts if count >= 256)
    assert len(set(rows.values())) < 40


def test_rows_are_padded_once_for_all_layers(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy would be of as many rows as the batch has."""
    monkeypatch.setattr(torch_packed, "WIDE", True)
    model = build(pooling="mean")
    calls: list[tuple[int, ...]] = []
    pad = functional.pad

    def counting(rows: torch.Tensor, more: tuple[int, ...]) -> torch.Tensor:
        if rows.ndim == 2:
            calls.append(more)
        return pad(rows, more)

    monkeypatch.setattr(functional, "pad", counting)
    model.predict(make_docs(["好" * 19]))  # 21 pieces, [CLS] and [SEP] among them
    assert calls == [(0, 0, 0, 3)]


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
    monkeypatch.setattr(torch_attention, "most_padding", lambda device: 1000)
    np.testing.assert_allclose(padded.predict(make_docs()), vectors, rtol=0, atol=2e-6)
    learn(padded)
    assert_equal(gradients_of(padded), gradients, 2e-4)


def test_out_of_memory_halves_the_batch_and_loses_no_text(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    whole = model.predict(make_docs())

    def small_memory(bert: Bert, batch: Batch, **settings: bool) -> torch.Tensor:
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
    network_of(model).bert.embeddings.word_embeddings.register_forward_hook(
        lambda module, given, found: pieces.append(len(found))
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
    network_of(model).bert.embeddings.word_embeddings.register_forward_hook(
        lambda module, given, found: pieces.append(len(found))
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


@pytest.mark.parametrize("able", [True, False])
def test_auto_learns_in_bfloat16_where_that_is_fast_and_answers_in_float32(
    able: bool, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_amx", lambda: able)
    exact, auto = build(), build(mixed_precision="auto")
    np.testing.assert_array_equal(auto.predict(make_docs()), exact.predict(make_docs()))
    learn(exact)
    learn(auto)
    expected, found = gradients_of(exact), gradients_of(auto)
    assert found.keys() == expected.keys()
    off, all_of_it = (
        sum(float((part**2).sum()) for part in parts) ** 0.5
        for parts in ([found[k] - v for k, v in expected.items()], expected.values())
    )
    assert 1e-4 < off / all_of_it < 0.05 if able else off == 0


def test_attention_that_learns_in_bfloat16_is_that_of_torch() -> None:
    drawn = torch.Generator().manual_seed(0)
    made = [torch.randn(3, 2, 5, 8, generator=drawn) for _ in range(3)]
    real = torch.arange(5) < torch.tensor([[5], [3], [1]])
    for mask in (None, real[:, None, None], torch.randn(3, 1, 5, 5, generator=drawn)):
        for scale in (None, 0.3):
            given = [part.bfloat16().requires_grad_() for part in made]
            add = mask if mask is None or mask.dtype == torch.bool else mask.bfloat16()
            found = torch_attention._product(*given, add, 0.0, scale)
            wanted = functional.scaled_dot_product_attention(*made, attn_mask=mask, scale=scale)
            torch.testing.assert_close(found.float(), wanted, rtol=0.05, atol=0.05)
            found.float().sum().backward()
            assert all(torch.isfinite(part.grad).all() for part in given)  # type: ignore[arg-type]


def test_mixed_precision_is_close_and_keeps_float32(build: Build) -> None:
    exact, mixed = build(), build(mixed_precision=True)
    vectors = mixed.predict(make_docs())
    difference = np.abs(vectors - exact.predict(make_docs())).max()
    assert 0 < difference < 0.1
    assert vectors.dtype == np.float32
    learn(mixed)
    mixed.finish_update(SGD(0.1))
    assert {v.dtype for v in weights_of(mixed).values()} == {np.dtype("float32")}
