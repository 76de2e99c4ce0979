"""Vectors in lists: what they find of what a search through all finds, and damaged files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.retrieve import Options, Retriever, build, lists
from spacy_bert_zh.retrieve.lists import Lists, read_lists
from spacy_bert_zh.textcat.space import Space
from tests.conftest import initialized
from tests.retrieve.tables import FAQ, write

WIDTH = 24


def make_space(width: int) -> Space:
    none = np.zeros((0, width), dtype=np.float16)
    return Space(np.zeros(width, dtype=np.float32), np.eye(width, dtype=np.float32), none)


def draw(count: int, seed: int) -> Any:
    """Vectors in heaps, as those of texts are."""
    means = np.random.default_rng(0).normal(size=(40, WIDTH))
    random = np.random.default_rng(seed)
    noise = random.normal(size=(count, WIDTH))
    return (means[random.integers(0, 40, count)] + 0.5 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def made() -> tuple[Lists, Space]:
    vectors = draw(4000, 1)
    space = make_space(WIDTH)
    return Lists.build(space, vectors), replace(space, vectors=vectors.astype(np.float16))


def test_few_lists_find_nearly_all(made: tuple[Lists, Space]) -> None:
    made_lists, exact = made
    questions = draw(100, 2)
    expected, cosines = exact.find(questions, 10)
    few, _ = made_lists.find(questions, 10, looked=8)
    shared = [len({*a} & {*b}) for a, b in zip(few.tolist(), expected.tolist(), strict=True)]
    assert np.mean(shared) > 9
    every, near = made_lists.find(questions, 10, looked=len(made_lists.centres))
    shared = [len({*a} & {*b}) for a, b in zip(every.tolist(), expected.tolist(), strict=True)]
    assert np.mean(shared) > 9.7  # the rest is what bytes lose
    np.testing.assert_allclose(near, cosines, atol=0.01)
    assert (np.diff(near, axis=1) <= 0).all()


@settings(max_examples=40, deadline=None)
@given(
    texts=st.integers(1, 60),
    count=st.integers(1, 70),
    looked=st.integers(1, 9),
    kinds=st.integers(1, 5),
)
def test_there_are_always_as_many_as_are_asked_for(
    texts: int, count: int, looked: int, kinds: int
) -> None:
    random = np.random.default_rng(texts)
    # Few different vectors, so that lists are empty; one of them is zero.
    vectors = np.vstack([np.zeros((1, 3)), random.normal(size=(kinds, 3))])
    vectors = vectors[random.integers(0, kinds + 1, texts)].astype(np.float32)
    places, cosines = Lists.build(make_space(3), vectors).find(vectors[:2], count, looked)
    assert places.shape == cosines.shape == (min(2, texts), min(count, texts))
    assert all(len({*row}) == len(row) for row in places.tolist())
    assert np.isfinite(cosines).all()


def test_they_are_read_where_they_lie(made: tuple[Lists, Space], tmp_path: Path) -> None:
    path = tmp_path / "lists.safetensors"
    made[0].save(path)
    assert path.stat().st_size < 4000 * (WIDTH + 8) + 63 * WIDTH * 4 + 5000
    found = read_lists(path, 4000)
    assert isinstance(found.codes, np.memmap)
    questions = draw(20, 3)
    for one, other in zip(found.find(questions, 5), made[0].find(questions, 5), strict=True):
        np.testing.assert_array_equal(one, other)


def swapped(array: Any) -> Any:
    changed = array.copy()
    changed[0] = changed[1]
    return changed


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("codes", None, "lacks codes"),
        ("codes", lambda a: a[:-1], "4,000 texts, tensors of"),
        ("codes", lambda a: a.astype(np.int16), "I16"),
        ("places", swapped, "don't hold each text once"),
        ("places", lambda a: a + 1, "don't hold each text once"),
        ("ends", lambda a: a[::-1].copy(), "don't hold each text once"),
        ("ends", lambda a: a * 2, "don't hold each text once"),
        ("scales", lambda a: a * np.float32(np.nan), "scales hold NaN"),
        ("centres", lambda a: a * np.float32(np.inf), "centres hold NaN"),
        ("mean", lambda a: a[:0], r"F32 of \(0,\)"),
    ],
)
def test_damaged_files_are_refused(
    name: str,
    change: Callable | None,
    said: str,
    made: tuple[Lists, Space],
    tmp_path: Path,
) -> None:
    path = tmp_path / "lists.safetensors"
    made[0].save(path)
    arrays = load_file(path)
    array = arrays.pop(name)
    if change:
        arrays[name] = change(array)
    save_file(arrays, path)
    with pytest.raises(BertZhError, match=said) as error:
        read_lists(path, 4000)
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_off_is_refused(made: tuple[Lists, Space], tmp_path: Path) -> None:
    path = tmp_path / "lists.safetensors"
    made[0].save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BertZhError, match="can't be read"):
        read_lists(path, 4000)
    with pytest.raises(BertZhError, match="is no file"):
        read_lists(tmp_path / "none.safetensors", 4000)


def test_a_folder_of_many_texts_has_lists(
    make_pipeline: Callable[..., Language], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write(tmp_path / "faq.jsonl", FAQ)
    pipelines = []
    for name in ("one", "other"):
        nlp = make_pipeline(pooling="mean")
        initialized(nlp)
        backbone = nlp.get_pipe("bert_textcat").model.get_ref("backbone")
        if name == "other":
            network = backbone.shims[0]._model
            for weights in network.parameters():
                weights.data.normal_()
        nlp.to_disk(tmp_path / name)
        pipelines.append(tmp_path / name)
    options = Options("question", "answer", "similar")
    build(table, tmp_path / "exact", options, pipeline=pipelines[0])
    exact = Retriever.load(tmp_path / "exact").search("牛肉面是不是新鲜", 10, "vectors")
    monkeypatch.setattr(lists, "EXACT", 200)
    build(table, tmp_path / "many", options, pipeline=pipelines[0])
    assert not (tmp_path / "many" / "vectors.safetensors").exists()
    many = Retriever.load(tmp_path / "many")
    assert isinstance(many.space, Lists)
    found = many.search("牛肉面是不是新鲜", 10, "vectors")
    shared = {hit.entry.text for hit in found.hits} & {hit.entry.text for hit in exact.hits}
    assert len(shared) >= 8
    assert many.search(FAQ[3]["similar"][0]).hits[0].entry.answer == FAQ[3]["answer"]
    (tmp_path / "many" / "pipeline").rename(tmp_path / "own")
    pipelines[1].rename(tmp_path / "many" / "pipeline")
    with pytest.raises(BertZhError, match=r"lists\.safetensors holds vectors of another encoder"):
        Retriever.load(tmp_path / "many")


def test_more_texts_than_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST", 100)
    table = write(tmp_path / "faq.jsonl", FAQ)
    with pytest.raises(BertZhError, match="more than 100 texts, the most that are searched"):
        build(table, tmp_path / "faq", Options("question", "answer", "similar"))
    assert not (tmp_path / "faq").exists()
