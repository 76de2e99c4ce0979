"""The shuffled reader: every document once, mixed however the corpus is sorted."""

import random
from itertools import islice
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.training.loop import create_train_batches
from spacy.util import registry

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.train.corpus import build_corpus_v1, build_shuffled_corpus_v1, shuffle_buffer

NLP = spacy.blank("zh")
LABELS = ["体育", "财经", "科技", "娱乐"]


@pytest.fixture(scope="module")
def by_label(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus sorted by label, a shard of 50 documents each."""
    folder = tmp_path_factory.mktemp("sorted")
    for shard, label in enumerate(LABELS):
        docs = [NLP.make_doc(f"{label}{i}") for i in range(50)]
        for doc in docs:
            doc.cats = {name: float(name == label) for name in LABELS}
        DocBin(docs=docs).to_disk(folder / f"{shard}.spacy")
    return folder


def read(corpus: Corpus) -> list[str]:
    return [example.reference.text for example in corpus(NLP)]


@pytest.mark.parametrize("buffer", [1, 7, 60, 10_000])
def test_every_document_once_an_epoch_in_a_new_order(buffer: int, by_label: Path) -> None:
    corpus = build_shuffled_corpus_v1(by_label, buffer=buffer)
    in_order = [f"{label}{i}" for label in LABELS for i in range(50)]
    first, second = read(corpus), read(corpus)
    assert sorted(first) == sorted(second) == sorted(in_order)
    assert first != second
    assert in_order not in (first, second)


def test_the_seed_decides(by_label: Path) -> None:
    def epochs(seed: int) -> list[list[str]]:
        random.seed(seed)
        corpus = build_shuffled_corpus_v1(by_label, buffer=40)
        return [read(corpus), read(corpus)]

    assert epochs(0) == epochs(0)
    assert epochs(0) != epochs(1)


@pytest.mark.parametrize("limit", [1, 30, 50, 120, 1000])
def test_limit_takes_the_same_documents_each_epoch(limit: int, by_label: Path) -> None:
    corpus = build_shuffled_corpus_v1(by_label, limit=limit)
    first = read(corpus)
    assert len(first) == min(limit, 200)
    assert sorted(first) == sorted(read(corpus))


@settings(deadline=None)
@given(items=st.lists(st.integers()), size=st.integers(1, 10))
def test_buffer_loses_and_repeats_nothing(items: list[int], size: int) -> None:
    assert sorted(shuffle_buffer(items, size)) == sorted(items)


def test_buffer_holds_no_more_than_its_size() -> None:
    taken: list[int] = []
    shuffled = shuffle_buffer((taken.append(i) or i for i in range(100)), 10)  # type: ignore[func-returns-value]
    for count, _ in enumerate(shuffled, 1):
        assert len(taken) <= count + 10


def test_streamed_corpus_yields_mixed_batches_from_the_start(by_label: Path) -> None:
    """What `training.max_epochs = -1` does to a corpus that is sorted by label."""
    batcher = registry.batchers.get("spacy.batch_by_sequence.v1")(size=16)

    def labels_of_first_batch(corpus: Corpus) -> set[str]:
        _, batch = next(create_train_batches(NLP, corpus, batcher, max_epochs=-1))
        return {max(eg.reference.cats, key=eg.reference.cats.__getitem__) for eg in batch}

    assert len(labels_of_first_batch(Corpus(by_label))) == 1
    assert len(labels_of_first_batch(build_shuffled_corpus_v1(by_label))) == len(LABELS)


def test_streaming_never_ends(by_label: Path) -> None:
    batcher = registry.batchers.get("spacy.batch_by_sequence.v1")(size=16)
    corpus = build_shuffled_corpus_v1(by_label)
    batches = create_train_batches(NLP, corpus, batcher, max_epochs=-1)
    assert len(list(islice(batches, 30))) == 30


def test_one_file_is_a_corpus_too(by_label: Path) -> None:
    texts = read(build_shuffled_corpus_v1(str(by_label / "0.spacy")))
    assert sorted(texts) == sorted(f"体育{i}" for i in range(50))


@pytest.mark.parametrize("path", [None, "no/such/corpus"])
def test_missing_corpus(path: str | None) -> None:
    with pytest.raises(BertZhError, match=f"No corpus at {path}: set paths.train"):
        build_shuffled_corpus_v1(path)
    with pytest.raises(BertZhError, match=f"No corpus at {path}: set paths.train"):
        build_corpus_v1(path)


def test_buffer_of_nothing(by_label: Path) -> None:
    with pytest.raises(BertZhError, match="buffer = 0 must be at least 1"):
        build_shuffled_corpus_v1(by_label, buffer=0)


def test_registered_under_its_name(by_label: Path) -> None:
    config = {"train": {"@readers": "spacy_bert_zh.shuffled_corpus.v1", "path": str(by_label)}}
    corpus = registry.resolve(config)["train"]
    assert len(read(corpus)) == 200
    config["train"]["@readers"] = "spacy_bert_zh.corpus.v1"
    in_order = [f"{label}{i}" for label in LABELS for i in range(50)]
    assert read(registry.resolve(config)["train"]) == in_order
