"""The two factories: all that spaCy documents for textcat, and what we add to it."""

import copy
import json
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import SGD, Adam, set_dropout_rate

from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading.answers import answer_all
from spacy_bert_zh.textcat.component import BertMultiLabelTextCategorizer, BertTextCategorizer
from tests.conftest import close, example_of, initialized, make_examples, pipe_of, teach

Make = Callable[..., Language]
TEXTS = ["味道不错，推荐", "", "这家店太慢，老板服务冷淡", "x"]


def cats_of(nlp: Language, texts: Iterable[str] = TEXTS, **kwargs: Any) -> list[dict[str, float]]:
    return [doc.cats for doc in nlp.pipe(texts, **kwargs)]


@pytest.fixture
def taught(factory: str, make_pipeline: Make) -> Language:
    """A pipeline that has learned good from bad."""
    nlp = make_pipeline(factory, pooling="mean")
    teach(nlp, make_examples(nlp, 64))
    return nlp


# Labels and initialisation


def test_learns(taught: Language) -> None:
    scores = taught.evaluate(make_examples(taught, 40, seed=5))
    assert scores["cats_macro_f"] > 0.9
    assert scores["cats_score"] > 0.9
    assert set(scores["cats_f_per_type"]) == {"neg", "pos"}


def test_labels_come_from_the_examples_in_their_order(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory)
    examples = [example_of(nlp, {"z": 1.0, "a": 0.0}), example_of(nlp, {"m": 1.0, "z": 0.0})]
    nlp.initialize(lambda: examples)
    assert pipe_of(nlp).labels == ("z", "a", "m")
    assert pipe_of(nlp).label_data == ("z", "a", "m")
    assert list(nlp("好").cats) == ["z", "a", "m"]


def test_labels_may_be_given(factory: str, make_pipeline: Make, tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(["pos", "neg", "other"]))
    nlp = make_pipeline(factory)
    labels = {"@readers": "spacy.read_labels.v1", "path": str(path)}
    nlp.config["initialize"]["components"][factory] = {"labels": labels}
    examples = make_examples(nlp, 4)
    nlp.initialize(lambda: examples)
    assert pipe_of(nlp).labels == ("pos", "neg", "other")


def test_labels_before_and_after_initialization(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory, pooling="mean")
    pipe = pipe_of(nlp)
    assert pipe.add_label("first") == 1
    assert pipe.add_label("first") == 0
    teach(nlp, make_examples(nlp, 16), epochs=2)
    assert pipe.labels == ("first", "neg", "pos")
    before = nlp("好吃").cats
    assert pipe.add_label("last") == 1
    after = nlp("好吃").cats
    assert after.pop("last") < 1e-3
    assert after == close(before, 1e-3)
    with pytest.raises(ValueError, match="E187"):
        pipe.add_label(3)


def test_a_label_added_later_is_learned(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory)
    initialized(nlp, ["a", "b"]).add_label("c")
    examples = [example_of(nlp, {"a": 0.0, "b": 0.0, "c": 1.0})]
    optimizer = nlp.resume_training(sgd=Adam(0.05))
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert nlp("好吃").cats["c"] > 0.9


def test_initialized_twice(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory, settings={"class_weights": "balanced"})
    pipe = pipe_of(nlp)
    one = [example_of(nlp, {"a": 1.0, "b": 0.0}), example_of(nlp, {"a": 0.0, "b": 1.0})]
    nlp.initialize(lambda: one)
    assert pipe.cfg["label_weights"] == {"a": 1.0, "b": 1.0}
    more = [*one, *one, example_of(nlp, {"a": 0.0, "b": 0.0, "c": 1.0})]
    nlp.initialize(lambda: more)
    assert pipe.labels == ("a", "b", "c")
    assert pipe.cfg["label_weights"] == close({"a": 5 / 6, "b": 5 / 6, "c": 5 / 3})
    assert nlp("好").cats == close(dict.fromkeys("abc", 1 / 3))


def test_positive_label(make_pipeline: Make) -> None:
    def scores(positive: str) -> dict[str, Any]:
        nlp = make_pipeline(pooling="mean")
        nlp.config["initialize"]["components"]["bert_textcat"] = {"positive_label": positive}
        teach(nlp, make_examples(nlp, 16), epochs=1)
        assert pipe_of(nlp).cfg["positive_label"] == positive
        return nlp.evaluate(make_examples(nlp, 16, seed=3))

    assert scores("pos")["cats_score_desc"] == "F (pos)"
    with pytest.raises(ValueError, match="E920"):
        scores("none")


def test_one_label_is_enough_for_multilabel_only(make_pipeline: Make) -> None:
    multi = make_pipeline("bert_textcat_multilabel")
    multi.initialize(lambda: [example_of(multi, {"a": 1.0})])
    assert multi("好").cats == {"a": 0.5}
    single = make_pipeline()
    with pytest.raises(ValueError, match="E867"):
        single.initialize(lambda: [example_of(single, {"a": 1.0})])


def test_uninitialized_says_what_to_do(factory: str, make_pipeline: Make) -> None:
    with pytest.raises(BertZhError, match=r"call nlp\.initialize\(\), or load a trained pipeline"):
        make_pipeline(factory)("好")


def test_added_bare_it_starts_offline_from_the_weights_that_ship(factory: str) -> None:
    nlp = spacy.blank("zh")
    pipe = nlp.add_pipe(factory)
    assert isinstance(pipe, BertTextCategorizer | BertMultiLabelTextCategorizer)
    initialized(nlp)
    assert set(nlp("好").cats) == {"a", "b", "c"}
    shim = next(shim for node in pipe.model.walk() for shim in node.shims)
    shipped = load_checkpoint(None).weights["embeddings.word_embeddings.weight"]
    table = shim.network.bert.get_input_embeddings().weight.detach().numpy()
    assert (table == shipped).all()


# Settings


def test_unknown_backbone(make_pipeline: Make) -> None:
    with pytest.raises(Exception, match=r"Could not find function 'no\.such\.v1'"):
        make_pipeline(**{"@architectures": "no.such.v1"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_smoothing": 1.0}, r"label_smoothing = 1\.0 must be in \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"label_smoothing = -0\.1 must be in"),
        ({"class_weights": {"a": -1.0}}, r"class_weights: a = -1\.0 must be a number from 0 up"),
        ({"class_weights": {"none": 2.0}}, "names labels that '.*' doesn't have: none .* a, b, c"),
        ({"class_weights": "balanced"}, "'balanced' finds no example of a, b, c"),
    ],
)
def test_settings_out_of_range(
    settings: dict[str, Any], message: str, factory: str, make_pipeline: Make
) -> None:
    with pytest.raises(BertZhError, match=message):
        initialized(make_pipeline(factory, settings))


def test_class_weights_are_balanced_or_a_table(factory: str, make_pipeline: Make) -> None:
    with pytest.raises(Exception, match="class_weights"):
        make_pipeline(factory, {"class_weights": "unbalanced"})


def test_head_of_the_other_component_is_refused(factory: str, make_pipeline: Make) -> None:
    exclusive = factory == "bert_textcat"
    nlp = spacy.blank("zh")
    with pytest.raises(BertZhError, match=f"'{factory}' needs .* exclusive_classes = {exclusive}"):
        nlp.add_pipe(factory, config={"model": {"exclusive_classes": not exclusive}})


def test_threshold_is_kept_and_used_for_the_scores(make_pipeline: Make) -> None:
    def recall(threshold: float) -> float:
        nlp = make_pipeline("bert_textcat_multilabel", {"threshold": threshold})
        assert initialized(nlp).cfg["threshold"] == threshold
        value: float = nlp.evaluate([example_of(nlp, {"a": 1.0, "b": 0.0})])["cats_micro_r"]
        return value

    assert recall(0.3) == 1.0  # untrained, each of three labels has a third
    assert recall(0.4) == 0.0
    assert spacy.blank("zh").add_pipe("bert_textcat").cfg["threshold"] == 0.0  # type: ignore[attr-defined]
    multi = spacy.blank("zh").add_pipe("bert_textcat_multilabel")
    assert multi.cfg["threshold"] == 0.5  # type: ignore[attr-defined]


# Training


def test_update(factory: str, make_pipeline: Make) -> None:
    nlp = make_pipeline(factory)
    examples = make_examples(nlp, 8)
    nlp.initialize(lambda: examples)
    pipe, before = pipe_of(nlp), cats_of(nlp)
    losses = {factory: 1.0, "another": 2.0}
    assert pipe.update(examples, losses=losses, drop=0.5) is losses
    first = np.log(2) * (1 if factory == "bert_textcat" else 2)  # a coin, for each label if many
    assert losses == {factory: pytest.approx(1.0 + first), "another": 2.0}

    assert cats_of(nlp) == before  # without an optimizer, there are only gradients
    pipe.finish_update(SGD(0.5))
    assert cats_of(nlp) != before
    assert pipe.update([], sgd=SGD(0.5)) == {factory: 0.0}


def test_dropout_comes_from_the_update(make_pipeline: Make) -> None:
    nlp = make_pipeline()
    examples = make_examples(nlp, 8)
    nlp.initialize(lambda: examples)
    dropout = pipe_of(nlp).model.layers[1]
    assert dropout.attrs["dropout_rate"] == 0.1
    pipe_of(nlp).update(examples, drop=0.4)
    assert dropout.attrs["dropout_rate"] == 0.4
    set_dropout_rate(pipe_of(nlp).model, 0.0)
    assert dropout.attrs["dropout_rate"] == 0.0


def test_training_is_the_same_from_the_same_seed(factory: str, make_pipeline: Make) -> None:
    def train() -> list[dict[str, float]]:
        spacy.util.fix_random_seed(7)
        nlp = make_pipeline(factory)
        teach(nlp, make_examples(nlp, 32), epochs=2)
        return cats_of(nlp)

    assert train() == train()


def test_averaged_weights_are_used_in_the_block_only(taught: Language) -> None:
    optimizer = Adam(0.02, use_averages=True)
    for _ in range(3):
        taught.update(make_examples(taught, 16), sgd=optimizer)
    plain = cats_of(taught)
    with taught.use_params(optimizer.averages):
        averaged, saved = cats_of(taught), taught.to_bytes()
    assert averaged != plain
    assert cats_of(taught) == plain
    assert cats_of(copy.deepcopy(taught).from_bytes(saved)) == averaged


def test_rehearsal_pulls_back(taught: Language, factory: str) -> None:
    examples = make_examples(taught, 16)
    assert taught.rehearse(examples) == {factory: 0.0}  # nothing to remember yet
    taught.resume_training()
    texts = [example.text for example in examples]
    remembered = cats_of(taught, texts)

    def distance() -> float:
        pairs = zip(cats_of(taught, texts), remembered, strict=True)
        return sum(abs(now["pos"] - then["pos"]) for now, then in pairs)

    flipped = [
        {"neg": eg.reference.cats["pos"], "pos": eg.reference.cats["neg"]} for eg in examples
    ]
    wrong = [example_of(taught, cats, eg.text) for cats, eg in zip(flipped, examples, strict=True)]
    optimizer = Adam(0.01)
    for _ in range(4):
        taught.update(wrong, sgd=optimizer)
    gone, optimizer = distance(), Adam(0.01)
    for _ in range(20):
        losses = taught.rehearse(examples, sgd=optimizer)
    assert losses[factory] > 0
    assert distance() < gone / 4


def test_rehearsal_needs_no_layer_decay(make_pipeline: Make) -> None:
    """spaCy lets a function collect its gradients that knows no learning rate of a layer."""
    nlp = make_pipeline(layer_decay=0.5)
    examples = make_examples(nlp, 4)
    teach(nlp, examples, epochs=1)
    nlp.resume_training()
    assert nlp.rehearse(examples, sgd=Adam(0.01))["bert_textcat"] >= 0


def test_rehearsal_of_nothing(taught: Language, factory: str) -> None:
    taught.resume_training()
    pipe = pipe_of(taught)
    assert pipe.rehearse([]) == {factory: 0.0}
    with pytest.raises(TypeError, match="E978"):
        pipe.rehearse([taught.make_doc("好")])


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
