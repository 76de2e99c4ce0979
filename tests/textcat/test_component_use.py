"""The two factories: in a pipeline, saved and loaded, and what was read of a document."""

import copy
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading.answers import answer_all
from tests.conftest import close, example_of, initialized, make_examples, pipe_of
from tests.textcat.cats import TEXTS, Make, cats_of

# In a pipeline


def test_each_document_as_if_alone(taught: Language) -> None:
    together = cats_of(taught)
    assert together == [close(taught(text).cats) for text in TEXTS]
    assert cats_of(taught, batch_size=2) == [close(cats) for cats in together]
    assert cats_of(taught, n_process=2, batch_size=2) == [close(cats) for cats in together]
    assert cats_of(taught, []) == []


def test_cats_of_other_components_stay(taught: Language) -> None:
    doc = taught.make_doc("好吃")
    doc.cats = {"theirs": 0.3}
    assert set(taught(doc).cats) == {"theirs", "neg", "pos"}


def test_disabled_and_selected(taught: Language, factory: str) -> None:
    with taught.select_pipes(disable=factory):
        assert taught("好吃").cats == {}
    assert taught("好吃").cats
    assert cats_of(taught, ["好吃"], disable=[factory]) == [{}]
    taught.disable_pipe(factory)
    assert taught("好吃").cats == {}


def test_an_error_handler_gets_what_fails(factory: str, make_pipeline: Make) -> None:
    nlp, seen = make_pipeline(factory), []
    nlp.set_error_handler(lambda name, pipe, docs, error: seen.append((name, len(docs), error)))
    assert list(nlp.pipe(["好", "吃"])) == []
    ((name, count, error),) = seen
    assert (name, count) == (factory, 2)
    assert isinstance(error, BertZhError)


def test_scores_without_a_pipeline(taught: Language) -> None:
    examples = make_examples(taught, 8)
    for example in examples:
        example.predicted = taught(example.text)
    assert pipe_of(taught).score(examples)["cats_score"] == taught.evaluate(examples)["cats_score"]


# Saving and loading


def loaded_from_bytes(nlp: Language, _: Path) -> Language:
    return spacy.blank("zh").from_config(nlp.config).from_bytes(nlp.to_bytes())


def loaded_from_disk(nlp: Language, path: Path) -> Language:
    nlp.to_disk(path)
    return spacy.load(path)


def pickled(nlp: Language, _: Path) -> Language:
    made = pickle.loads(pickle.dumps(nlp))
    assert isinstance(made, Language)
    return made


def copied(nlp: Language, _: Path) -> Language:
    return copy.deepcopy(nlp)


@pytest.mark.parametrize("way", [loaded_from_bytes, loaded_from_disk, pickled, copied])
def test_every_way_to_save_keeps_every_score(
    way: Callable[[Language, Path], Language], taught: Language, tmp_path: Path
) -> None:
    made = way(taught, tmp_path / "saved")
    assert cats_of(made) == cats_of(taught)
    assert pipe_of(made).labels == pipe_of(taught).labels
    assert pipe_of(made).cfg == pipe_of(taught).cfg


def test_component_alone(
    taught: Language, factory: str, make_pipeline: Make, tmp_path: Path
) -> None:
    pipe = pipe_of(taught)
    pipe.to_disk(tmp_path / "pipe")
    by_disk, by_bytes, without = (pipe_of(make_pipeline(factory, pooling="mean")) for _ in range(3))
    by_disk.from_disk(tmp_path / "pipe")
    by_bytes.from_bytes(pipe.to_bytes())
    docs = [taught.make_doc(text) for text in TEXTS]
    for made in (by_disk, by_bytes):
        np.testing.assert_array_equal(made.predict(docs), pipe.predict(docs))
    without.from_bytes(pipe.to_bytes(exclude=["model"]), exclude=["model"])
    assert without.labels == pipe.labels
    with pytest.raises(BertZhError, match="no weights yet"):
        without.predict(docs)


def test_settings_survive(factory: str, make_pipeline: Make, tmp_path: Path) -> None:
    settings = {"class_weights": "balanced", "label_smoothing": 0.2}
    nlp = make_pipeline(factory, settings)
    examples = make_examples(nlp, 8)[:7]
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path)
    cfg = pipe_of(spacy.load(tmp_path)).cfg
    assert cfg["class_weights"] == "balanced"
    assert cfg["label_smoothing"] == 0.2
    assert cfg["label_weights"] == close({"neg": 7 / 8, "pos": 7 / 6})


def test_no_local_folder_is_saved(taught: Language, checkpoint: Path, tmp_path: Path) -> None:
    taught.to_disk(tmp_path)
    folder = str(checkpoint.parent).encode()
    assert folder not in taught.to_bytes()
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and folder in path.read_bytes()
    ]
    backbone = spacy.load(tmp_path).config["components"][taught.pipe_names[0]]["model"]["backbone"]
    assert backbone["name"] == checkpoint.name


def test_sourced_into_another_pipeline(taught: Language, factory: str) -> None:
    other = spacy.blank("zh")
    other.add_pipe(factory, source=taught)
    assert cats_of(other) == cats_of(taught)


def test_documents_keep_their_numbers_when_saved(taught: Language) -> None:
    doc = taught("好吃" * 40)
    again = Doc(taught.vocab).from_bytes(doc.to_bytes())
    (reading,) = again._.bert_textcat.values()
    assert reading == {"pieces": 80, "pieces_read": 80, "windows": 2}
    assert again.cats == doc.cats


# What was read of a document


def test_predict_leaves_documents_as_they_are(taught: Language, factory: str) -> None:
    pipe, docs = pipe_of(taught), [taught.make_doc(text) for text in TEXTS]
    scores = pipe.predict(docs)
    assert isinstance(scores, np.ndarray)
    assert scores.shape == (len(TEXTS), 2)
    assert not any(doc.cats or doc.user_data for doc in docs)
    pipe.set_annotations(docs, scores)
    assert [doc.cats for doc in docs] == [close(cats) for cats in cats_of(taught)]
    assert docs[0]._.bert_textcat == {factory: {"pieces": 7, "pieces_read": 7, "windows": 1}}


def test_each_component_keeps_its_own_record(checkpoint: Path) -> None:
    nlp = spacy.blank("zh")
    for name, length in (("short", 10), ("long", 64)):
        backbone = {"name": str(checkpoint), "max_length": length, "max_windows": 1}
        nlp.add_pipe("bert_textcat", name, config={"model": {"backbone": backbone}})
    nlp.initialize(lambda: make_examples(nlp, 4))
    (doc,) = nlp.pipe(["好吃" * 20])
    assert doc._.bert_textcat == {
        "short": {"pieces": 40, "pieces_read": 8, "windows": 1},
        "long": {"pieces": 40, "pieces_read": 40, "windows": 1},
    }
    (answer,) = answer_all(nlp, ["好吃"])
    assert answer is not None
    assert answer.reading is None  # of which of them?
    nlp.remove_pipe("long")
    (answer,) = answer_all(nlp, ["好吃" * 20])
    assert answer is not None
    assert answer.reading == {"pieces": 40, "pieces_read": 8, "windows": 1}


def test_without_the_extension_it_still_classifies(taught: Language) -> None:
    before = cats_of(taught)
    extension = Doc.remove_extension("bert_textcat")
    try:
        assert cats_of(taught) == before
        assert not taught("好吃").user_data
    finally:
        Doc.set_extension("bert_textcat", default=extension[0])


def test_a_subclass_may_change_scores(taught: Language, factory: str) -> None:
    class Sharper(type(pipe_of(taught))):  # type: ignore[misc]
        def predict(self, docs: Iterable[Doc]) -> Any:
            return np.asarray(super().predict(docs)) ** 2

    sharper = Sharper(taught.vocab, pipe_of(taught).model, factory)
    sharper.cfg["labels"] = list(pipe_of(taught).labels)
    (doc,) = sharper.pipe([taught.make_doc("好吃")])
    assert doc.cats == close({label: v**2 for label, v in taught("好吃").cats.items()})
    assert doc._.bert_textcat[factory]["pieces"] == 2


def test_a_foreign_architecture_gives_zeros_where_there_is_no_token(factory: str) -> None:
    nlp = spacy.blank("zh")
    model = {
        "@architectures": "spacy.TextCatBOW.v3",
        "exclusive_classes": factory == "bert_textcat",
        "ngram_size": 1,
        "no_output_layer": False,
    }
    nlp.add_pipe(factory, config={"model": model})
    examples = make_examples(nlp, 4)
    nlp.initialize(lambda: examples)
    assert nlp("").cats == {"neg": 0.0, "pos": 0.0}
    assert [len(cats) for cats in cats_of(nlp)] == [2] * len(TEXTS)
    nlp.resume_training()
    empty = [example_of(nlp, {"neg": 1.0, "pos": 0.0}, "")]
    assert nlp.rehearse(empty) == nlp.update(empty) == {factory: 0.0}


def test_a_pipe_that_is_broken_off_leaves_the_pipeline_as_it_was(
    factory: str, make_pipeline: Make
) -> None:
    nlp = make_pipeline(factory)
    initialized(nlp)
    expected = cats_of(nlp)

    def failing() -> Iterator[str]:
        yield from ["好"] * 5
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(nlp.pipe(failing(), batch_size=2))
    stream = nlp.pipe(TEXTS * 20, batch_size=4)
    next(stream)
    stream.close()
    assert cats_of(nlp) == expected
