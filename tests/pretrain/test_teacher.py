"""Learning from a teacher: its vectors on disk, what the pupil is told, what comes of it."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from spacy_bert_zh.checkpoint import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain import pretrain
from spacy_bert_zh.pretrain import teacher as teaching
from spacy_bert_zh.pretrain.distillation import TEMPERATURE, pool, taught_loss
from spacy_bert_zh.pretrain.monitor import read_metrics
from spacy_bert_zh.pretrain.optimization import build_accelerator
from spacy_bert_zh.pretrain.prepare import prepare
from spacy_bert_zh.pretrain.vectors import Vectors, chunk_path, unit
from spacy_bert_zh.reading.overlap import read_texts
from tests.conftest import run_cli
from tests.pretrain.pretraining import TINY, as_words, tiny


@pytest.fixture
def taught(text: Path, checkpoint: Path, tmp_path: Path, monkeypatch):
    """A prepared corpus with the vectors of a teacher, in chunks of 50."""
    monkeypatch.setattr(teaching, "CHUNK", 50)
    monkeypatch.setattr("spacy_bert_zh.pretrain.vectors.CHUNK", 50)
    options = tiny(teacher=checkpoint, teacher_prefix="问：")
    teacher = teaching.load_teacher(options)
    data = prepare(text, teacher.checkpoint.tokenizer, options, tmp_path, teacher.lesson)

    def teach():
        data.vectors = teaching.teach(data, teacher.checkpoint, build_accelerator(options))
        return data

    return teach


def exact(data, checkpoint: Path, monkeypatch) -> np.ndarray:
    """The vectors of the training part by torch, about their mean."""
    monkeypatch.setattr(teaching, "find_spec", lambda name: None)
    read = teaching._reader(load_checkpoint(str(checkpoint)), torch.device("cpu"))
    ends = np.load(data.folder / "train" / "taught.npy")
    pieces = np.fromfile(data.folder / "train" / "taught", dtype=np.uint32)
    vectors = unit(teaching._read_all([pieces[a:b] for a, b in pairwise(ends)], read, 64, 8))
    return unit(vectors - vectors.mean(0))


def test_every_document_has_its_vector(taught, checkpoint: Path, monkeypatch) -> None:
    data = taught()
    documents = np.arange(len(data.train))
    found = data.vectors[0][documents]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    expected = exact(data, checkpoint, monkeypatch)
    assert (found * expected).sum(1).mean() > 0.97  # eight bits against thirty-two
    some = np.array([3, 77, 3])
    np.testing.assert_array_equal(data.vectors[0][some], found[some])
    assert data.vectors[1].mean is data.vectors[0].mean


def test_only_what_is_missing_is_computed(taught, monkeypatch) -> None:
    data = taught()
    before = data.vectors[0][np.arange(len(data.train))]
    chunk_path(data.folder / "train", 1).unlink()
    computed = []
    whole = teaching._read_all
    monkeypatch.setattr(
        teaching, "_read_all", lambda texts, *rest: computed.append(1) or whole(texts, *rest)
    )
    again = taught().vectors[0]
    assert len(computed) == 1
    np.testing.assert_allclose(again[np.arange(len(data.train))], before, atol=2e-3)


def test_a_long_text_becomes_documents_that_both_read_whole(
    checkpoint: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "raw.txt"
    raw.write_text("这家店很好吃味道不错" * 10 + "\n好吃\n", "utf-8")
    options = tiny(teacher=checkpoint, held_out=0.0)
    teacher = teaching.load_teacher(options)
    tokenizer = teacher.checkpoint.tokenizer
    data = prepare(raw, tokenizer, options, tmp_path, teacher.lesson)
    lengths = np.diff(data.train.documents)
    assert lengths.max() <= options.length - 2
    taught = np.diff(np.load(data.folder / "train" / "taught.npy"))
    # The same tokenizer here, so the same pieces, in [CLS] and [SEP].
    np.testing.assert_array_equal(taught, lengths + 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(3, 7))
def test_the_loss_is_what_its_docstring_says(seed: int, count: int) -> None:
    random = torch.Generator().manual_seed(seed)
    vectors, projected, targets = (torch.randn(count, 6, generator=random) for _ in range(3))
    targets = torch.nn.functional.normalize(targets)
    found = float(taught_loss(vectors, projected, targets))

    def shares(rows: torch.Tensor, i: int) -> torch.Tensor:
        cosines = torch.stack([rows[i] @ rows[j] for j in range(count) if j != i])
        return torch.softmax(cosines / TEMPERATURE, 0)

    distance = 1 - torch.nn.functional.cosine_similarity(projected, targets).mean()
    own = torch.nn.functional.normalize(vectors - vectors.mean(0))
    relations = 0.0
    for i in range(count):
        theirs, ours = shares(targets, i), shares(own, i)
        relations += float((theirs * (theirs.log() - ours.log())).nan_to_num().sum()) / count
    assert found == pytest.approx(float(10 * distance) + relations, rel=1e-3, abs=1e-3)
    best = taught_loss(targets + 1.0 - 1.0, targets, targets - 0.0)
    assert float(best) <= found + 1e-3


def test_padding_is_in_no_mean() -> None:
    hidden = torch.arange(12.0).view(2, 3, 2)
    texts = torch.tensor([[0, 0, 2], [1, 2, 2]])  # 2 is padding
    assert pool(hidden, texts, 2).tolist() == [[1.0, 2.0], [6.0, 7.0]]


def test_the_pupil_comes_nearer_and_keeps_its_own_shape(
    text: Path, checkpoint: Path, tmp_path: Path
) -> None:
    options = tiny(teacher=checkpoint, steps=120, learn_rate=0.01, log_every=20)
    folder = pretrain(text, tmp_path / "bert", options)
    lines = [line for line in read_metrics(folder / "metrics.jsonl") if "taught_loss" in line]
    assert lines[-1]["taught_loss"] < 0.7 * lines[0]["taught_loss"]
    held_out = [line for line in read_metrics(folder / "metrics.jsonl") if "held_out_loss" in line]
    assert held_out[-1]["held_out_taught_loss"] < held_out[0]["held_out_taught_loss"]
    weights = load_file(folder / "model.safetensors")
    assert not [name for name in weights if "projection" in name]
    assert json.loads((folder / "config.json").read_text("utf-8"))["hidden_size"] == 16
    assert checkpoint.name in (folder / "README.md").read_text("utf-8")


def test_cut_off_after_the_vectors_it_goes_on_to_the_same_weights(
    text: Path, checkpoint: Path, tmp_path: Path
) -> None:
    settings = {**TINY, "teacher": checkpoint, "steps": 8}
    run_cli("pretrain", text, tmp_path / "one", *as_words(settings))
    data = next((tmp_path / "one.work").glob("data-*"))
    assert chunk_path(data / "train", 0).exists()
    before = load_file(tmp_path / "one" / "model.safetensors")
    run_cli("pretrain", text, tmp_path / "one", *as_words(settings))
    after = load_file(tmp_path / "one" / "model.safetensors")
    assert all((before[name] == after[name]).all() for name in before)


def test_texts_without_labels_are_kept_out_too(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "好吃"}\n{"text": "难吃"}\n', "utf-8")
    (folder / "rejects.jsonl").write_text('{"row": 1, "reason": "empty"}\n', "utf-8")
    assert list(read_texts([folder])) == ["好吃", "难吃"]


def test_a_prefix_without_a_teacher_is_one_line() -> None:
    with pytest.raises(BertZhError, match="--teacher-prefix is for a --teacher"):
        tiny(teacher_prefix="query: ")


def test_vectors_of_nothing() -> None:
    assert Vectors(Path("nowhere"), 0).width == 0


def test_a_teacher_with_other_weights_is_asked_again(
    text: Path, checkpoint: Path, tmp_path: Path
) -> None:
    own = tmp_path / "teacher"
    shutil.copytree(checkpoint, own)
    options = tiny(teacher=own)
    teacher = teaching.load_teacher(options)
    tokenizer = teacher.checkpoint.tokenizer
    first = prepare(text, tokenizer, options, tmp_path, teacher.lesson).folder
    assert prepare(text, tokenizer, options, tmp_path, teacher.lesson).folder == first
    os.utime(own / "model.safetensors", (1, 1))
    assert prepare(text, tokenizer, options, tmp_path, teacher.lesson).folder != first
