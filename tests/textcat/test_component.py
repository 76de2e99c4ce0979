"""The two factories: labels, settings and training, as spaCy documents for textcat."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from thinc.api import SGD, Adam, set_dropout_rate

from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.component import BertMultiLabelTextCategorizer, BertTextCategorizer
from tests.conftest import close, example_of, initialized, make_examples, pipe_of, teach
from tests.textcat.cats import Make, cats_of

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
    table = shim.network.bert.embeddings.word_embeddings.weight.detach().numpy()
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
    for _ in range(40):
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
