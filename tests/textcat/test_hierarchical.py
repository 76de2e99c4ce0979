"""bert_textcat_hierarchical: scores and decisions that agree, its loss, saved and loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.training import Corpus, Example

from spacy_bert_zh.distill.scores import load_teachers
from spacy_bert_zh.distill.students import make_student
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import explain
from spacy_bert_zh.index import Options, index
from spacy_bert_zh.loading import given_labels, load_pipeline, set_threshold
from spacy_bert_zh.textcat import Taxonomy, thresholds_of
from spacy_bert_zh.train.flow import train
from spacy_bert_zh.trust import Aims
from spacy_bert_zh.trust.fit import fit
from tests.conftest import HIERARCHICAL, REPOSITORY, example_of, lower, make_rows, pipe_of
from tests.textcat.cats import TEXTS, Make

TREE = {"b": "a", "c": "b", "d": "a"}
LABELS = ["a", "b", "c", "d", "e"]


def grown(nlp: Language) -> Language:
    """A pipeline with a tree that hasn't learnt anything."""
    nlp.config["initialize"]["components"][HIERARCHICAL] = {"labels": LABELS, "taxonomy": TREE}
    nlp.initialize(lambda: [example_of(nlp, {"c": 1.0})])
    return nlp


def agree(cats: dict[str, float], parents: dict[str, str]) -> bool:
    return all(cats[child] <= cats[parent] for child, parent in parents.items())


def loss_by_hand(scores: np.ndarray, truths: np.ndarray) -> float:
    """MCLoss as in the paper, label by label."""
    taxonomy, total = Taxonomy(TREE), 0.0
    for row, truth in zip(scores, truths, strict=True):
        for i, label in enumerate(LABELS):
            under = [j for j, other in enumerate(LABELS) if label in taxonomy.path(other)]
            total -= truth[i] * np.log(max(truth[j] * row[j] for j in under) or 1.0)
            total -= (1 - truth[i]) * np.log(1 - max(row[j] for j in under))
    return total / len(scores)


def test_the_loss_is_that_of_what_is_said(make_pipeline: Make) -> None:
    nlp = grown(make_pipeline(HIERARCHICAL))
    pipe, random = pipe_of(nlp), np.random.default_rng(0)
    rows = [{"c": 1.0}, {"b": 1.0, "e": 1.0}, {"d": 1.0, "c": 1.0}, {"a": 1.0}]
    # Whoever names the lowest labels means those above them, too.
    examples = [example_of(nlp, dict.fromkeys(LABELS, 0.0) | row) for row in rows]
    closed = [Taxonomy(TREE).closed(row) for row in rows]
    truths = np.asarray([[float(label in row) for label in LABELS] for row in closed])
    logits = random.normal(size=truths.shape)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        found = 1 / (1 + np.exp(-values))
        return pipe.get_loss(examples, found)

    value, gradient = loss(logits)
    assert value == pytest.approx(loss_by_hand(1 / (1 + np.exp(-logits)), truths))
    step = 1e-4
    for place in np.ndindex(*logits.shape):
        moved = np.zeros_like(logits)
        moved[place] = step
        slope = (loss(logits + moved)[0] - loss(logits - moved)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(slope, abs=1e-4)


def test_a_label_that_is_not_annotated_counts_for_nothing(make_pipeline: Make) -> None:
    nlp = grown(make_pipeline(HIERARCHICAL))
    scores = np.full((1, 5), 0.5, dtype="float32")
    example = [example_of(nlp, {"b": 1.0})]
    _, gradient = pipe_of(nlp).get_loss(example, scores)
    told = dict(zip(LABELS, gradient[0].tolist(), strict=True))
    assert told["a"] < 0 and told["b"] < 0  # a follows from b
    assert told["c"] == told["d"] == told["e"] == 0


def test_scores_agree_in_both_halves_of_the_default(checkpoint: Path) -> None:
    nlp = spacy.blank("zh")
    model = {"backbone": {"name": str(checkpoint), "max_length": 64}}
    pipe = nlp.add_pipe(HIERARCHICAL, config={"model": model})
    rows = [
        (text, f"{label}/{'外卖' if '外卖' in text else '堂食'}") for text, label in make_rows(64)
    ]
    examples = [Example.from_dict(nlp.make_doc(t), {"cats": {label: 1.0}}) for t, label in rows]
    optimizer = nlp.initialize(lambda: examples)
    losses = []
    for _ in range(6):
        found: dict[str, float] = {}
        nlp.update(examples, sgd=optimizer, losses=found)
        losses.append(found[HIERARCHICAL])
    assert losses[-1] < losses[0]
    parents = pipe.cfg["taxonomy"]  # type: ignore[attr-defined]
    assert parents == {f"{a}/{b}": a for a in ("neg", "pos") for b in ("堂食", "外卖")}
    assert all(agree(doc.cats, parents) for doc in nlp.pipe([*TEXTS, *(text for text, _ in rows)]))


def test_it_learns_the_tree_and_stays_the_same_when_saved(hierarchical: Path, trees: Path) -> None:
    nlp = load_pipeline(hierarchical)
    parents = json.loads((trees / "corpus" / "taxonomy.json").read_text("utf-8"))
    assert pipe_of(nlp).cfg["taxonomy"] == parents
    dev = list(Corpus(trees / "corpus" / "dev")(nlp))
    docs = list(nlp.pipe(example.text for example in dev))
    assert all(agree(doc.cats, parents) for doc in docs)
    right = [
        {label for label, value in example.reference.cats.items() if value}
        == set(given_labels(nlp, doc.cats))
        for example, doc in zip(dev, docs, strict=True)
    ]
    assert np.mean(right) > 0.5
    again = spacy.util.load_model_from_config(nlp.config)
    again.from_bytes(nlp.to_bytes())
    assert [doc.cats for doc in again.pipe(TEXTS)] == [doc.cats for doc in nlp.pipe(TEXTS)]


def test_one_path_is_given_as_deep_as_it_is_sure(hierarchical: Path) -> None:
    key = f"components.{HIERARCHICAL}.paths"
    nlp = load_pipeline(hierarchical, {key: "one"})
    pipe = pipe_of(nlp)
    parents = pipe.cfg["taxonomy"]
    cats = {
        "好评": 0.9,
        "好评/味道": 0.6,
        "好评/其余": 0.7,
        "差评": 0.8,
        "差评/味道": 0.8,
        "差评/其余": 0.1,
    }
    assert set(cats) == set(pipe.labels)
    assert set(given_labels(nlp, cats)) == {"好评", "好评/其余"}
    set_threshold(pipe, 0.75)
    assert given_labels(nlp, cats) == ["好评"]
    set_threshold(pipe, 0.95)
    assert given_labels(nlp, cats) == []
    set_threshold(pipe, 0.0)  # to the end
    for doc in nlp.pipe(TEXTS):
        given = given_labels(nlp, doc.cats)
        assert len(given) == 2 and any(parents.get(one) in given for one in given)
    assert len(given_labels(load_pipeline(hierarchical), cats)) == 5


def test_labels_thresholds_of_their_own_never_part_a_label_from_its_parent(
    hierarchical: Path,
) -> None:
    pipe = pipe_of(load_pipeline(hierarchical))
    pipe.cfg["thresholds"] = {"好评": 0.9, "好评/味道": 0.3, "好评/其余": 0.95, "差评": 0.2}
    found = thresholds_of(pipe)
    assert found["好评"] == found["好评/味道"] == 0.3 and found["差评"] == 0.2
    assert found["好评/其余"] == 0.95 and found["差评/其余"] == 0.5


def test_calibration_keeps_scores_and_decisions_agreeing(hierarchical: Path, trees: Path) -> None:
    nlp = load_pipeline(hierarchical)
    pipe = pipe_of(nlp)
    before = {doc.text: doc.cats for doc in nlp.pipe(TEXTS)}
    facts = fit(nlp, pipe, trees / "corpus" / "dev", Aims(aim="f1", right=0.2))
    assert len(set(facts["slopes"])) == 1  # the highest stays the highest
    parents = pipe.cfg["taxonomy"]
    thresholds = pipe.cfg["thresholds"]
    assert all(thresholds[parent] <= thresholds[child] for child, parent in parents.items())
    for doc in nlp.pipe(TEXTS):
        assert agree(doc.cats, parents) and doc.cats != before[doc.text]
        given = given_labels(nlp, doc.cats)
        assert all(parents[label] in given for label in given if label in parents)
        assert doc._.bert_textcat[HIERARCHICAL]["decision"] == given


def test_an_explanation_says_whose_score_a_label_has(hierarchical: Path) -> None:
    nlp = load_pipeline(hierarchical)
    pipe = pipe_of(nlp)
    text = make_rows(2)[1][0]
    (own,) = explain(nlp, [text], ["好评"])
    lower(pipe, "好评")
    (one,) = explain(nlp, [text], ["好评", "好评/味道"])
    ((label, below),) = one.raised
    assert own.raised == () and label == "好评" and below.startswith("好评/")
    share = one.shares[0]
    assert share.label == "好评" and share.score == pytest.approx(nlp(text).cats[below], abs=1e-6)
    assert 1 / (1 + np.exp(-share.logit)) == pytest.approx(share.score, abs=1e-4)
    assert sum(share.characters) == pytest.approx(share.ngrams + share.network, abs=0.05)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"labels": ["x", "y"]}, "has no tree: no label has a '/' in it"),
        ({"labels": ["x/y"], "separator": "-"}, "no label has a '-' in it"),
        ({"labels": ["x"], "taxonomy": {"x": "y", "y": "x"}}, "in a circle: x → y → x"),
        ({"labels": ["q/x", "x/y"]}, "'x' is the end of 'q/x'"),
    ],
)
def test_labels_without_a_tree_are_refused(make_pipeline: Make, given: dict, said: str) -> None:
    nlp = make_pipeline(HIERARCHICAL)
    nlp.config["initialize"]["components"][HIERARCHICAL] = given
    with pytest.raises(BertZhError, match=said):
        nlp.initialize(lambda: [example_of(nlp, {"x": 1.0})])


def test_settings_that_mean_nothing_are_refused(make_pipeline: Make) -> None:
    with pytest.raises(BertZhError, match="paths = 'best' must be 'several' or 'one'"):
        make_pipeline(HIERARCHICAL, {"paths": "best"})


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "labels but no tree"),
        ({"好评": "好评/味道", "好评/味道": "好评"}, "in a circle"),
        ({"好评/味道": "体育"}, "has '体育' in its tree, which is no label"),
        ({"好评/味道": 3}, "taxonomy"),
    ],
)
def test_a_tree_that_was_changed_is_refused(
    hierarchical: Path, tmp_path: Path, tree: dict, said: str
) -> None:
    nlp = spacy.load(hierarchical)
    nlp.to_disk(tmp_path / "other")
    path = tmp_path / "other" / HIERARCHICAL / "cfg"
    saved = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**saved, "taxonomy": tree}, ensure_ascii=False), "utf-8")
    with pytest.raises(BertZhError, match=said):
        load_pipeline(tmp_path / "other")


@pytest.mark.parametrize("student", ["ngrams", "layers=1"])
def test_a_student_that_would_lose_the_tree_is_refused(
    hierarchical: Path, tmp_path: Path, student: str
) -> None:
    teachers = load_teachers([str(hierarchical)], None)
    with pytest.raises(BertZhError, match=r"such as configs/trees\.cfg with paths\.taxonomy"):
        make_student(student, teachers, tmp_path)


def test_the_config_learns_a_tree(trees: Path, checkpoint: Path, tmp_path: Path) -> None:
    corpus, component = trees / "corpus", f"components.{HIERARCHICAL}"
    best = train(
        REPOSITORY / "configs" / "trees.cfg",
        tmp_path / "out",
        overrides={
            "training.optimizer.learn_rate.total_steps": 20,
            "training.eval_frequency": 10,
            "paths.train": str(corpus / "train"),
            "paths.dev": str(corpus / "dev"),
            "paths.labels": str(corpus / "labels.json"),
            "paths.taxonomy": str(corpus / "taxonomy.json"),
            "paths.weights": str(checkpoint),
            f"{component}.model.backbone.max_length": 64,
            f"{component}.model.linear_model.length": 4096,
        },
    )
    pipe = pipe_of(spacy.load(best))
    assert pipe.cfg["taxonomy"] == json.loads((corpus / "taxonomy.json").read_text("utf-8"))
    assert list(pipe.labels) == json.loads((corpus / "labels.json").read_text("utf-8"))


def test_neighbours_that_have_a_say_keep_scores_agreeing(
    hierarchical: Path, trees: Path, tmp_path: Path
) -> None:
    corpus = trees / "corpus"
    index(hierarchical, tmp_path / "out", Options(add=corpus / "train", dev=corpus / "dev"))
    nlp = load_pipeline(tmp_path / "out")
    pipe = pipe_of(nlp)
    assert pipe.neighbours is not None and pipe.neighbours.has_say
    # Entries that name the lowest labels alone.
    for entry in pipe.neighbours.entries:
        entry.labels[:] = [label for label in entry.labels if "/" in label]
    texts = [*TEXTS, *(text for text, _ in make_rows(20, 5))]
    assert all(agree(doc.cats, pipe.cfg["taxonomy"]) for doc in nlp.pipe(texts))
