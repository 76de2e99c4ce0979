"""A calibrated pipeline: what it decides, and that nothing of it is lost on any way."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from spacy_bert_zh.calibrate import Aims, calibrate
from spacy_bert_zh.compress import compress
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import answer_all, load_pipeline
from spacy_bert_zh.textcat import rescale
from spacy_bert_zh.textcat.cascade import Cascade, halves, margins
from spacy_bert_zh.trust.fit import fit
from tests.conftest import make_rows, pipe_of, run_cli

NOISE = 0.15
TEXTS = ["味道不错，推荐。", "这家店太慢", "x", "", "老板服务冷淡，分量少，难吃" * 9]
QUANTILES = ("odds", "doubts", "sums")
AIMS = Aims(right=0.6, coverage=0.9, known=0.9)


def noisy(nlp: Language, count: int, seed: int, factory: str) -> list[Example]:
    """Reviews whose label is sometimes wrong: nobody can be right about all of them."""
    draw = random.Random(seed)
    examples = []
    for text, label in make_rows(count, seed):
        wrong = draw.random() < NOISE
        cats = {name: float((name == label) != wrong) for name in ("neg", "pos")}
        if factory == "bert_textcat_multilabel":
            cats["long"] = float(len(text) > 12)
        examples.append(Example.from_dict(nlp.make_doc(text), {"cats": cats}))
    return examples


Trained = dict[str, dict[str, Path]]


@pytest.fixture(scope="module")
def trained(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """By factory: a pipeline, and the texts it learnt from and others."""
    found: Trained = {}
    for factory in ("bert_textcat", "bert_textcat_multilabel"):
        folder = tmp_path_factory.mktemp(factory)
        fix_random_seed(0)
        nlp = spacy.blank("zh")
        linear = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 512}
        backbone = {
            "@architectures": "spacy_bert_zh.TorchBackbone.v1",
            "name": str(checkpoint),
            "max_length": 64,
            "stride": 8,
        }
        model = {
            "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v3",
            "exclusive_classes": factory == "bert_textcat",
            "linear_model": linear,
            "backbone": backbone,
        }
        nlp.add_pipe(factory, config={"model": model})
        examples = noisy(nlp, 400, 1, factory)
        nlp.initialize(lambda examples=examples: examples)
        optimizer = Adam(0.0005)  # slowly, or it learns the wrong labels by heart
        for start in range(0, 800, 16):
            nlp.update(examples[start % 400 : start % 400 + 16], sgd=optimizer)
        labels = len(pipe_of(nlp).labels)
        rescale(pipe_of(nlp).model, np.full(labels, 5.0), np.zeros(labels))  # far too sure
        nlp.to_disk(folder / "model")
        for split, count, seed in (("train", 400, 1), ("dev", 300, 2)):
            (folder / split).mkdir()
            docs = [example.reference for example in noisy(nlp, count, seed, factory)]
            DocBin(docs=docs).to_disk(folder / split / "00000.spacy")
        found[factory] = {name: folder / name for name in ("model", "train", "dev")}
    return found


@pytest.fixture(scope="module")
def calibrated(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one for exclusive labels, with every rule."""
    given = trained["bert_textcat"]
    output = tmp_path_factory.mktemp("calibrated") / "out"
    calibrate(given["model"], output, given["dev"], AIMS, train=given["train"])
    return output


def said(nlp: Language, texts: list[str] = TEXTS) -> list[dict[str, Any]]:
    """What the component says beside its scores."""
    return [dict(doc._.bert_textcat[pipe_of(nlp).name]) for doc in nlp.pipe(texts)]


def cats(nlp: Language, texts: list[str] = TEXTS) -> np.ndarray:
    return np.asarray([list(doc.cats.values()) for doc in nlp.pipe(texts)])


def test_scores_mean_what_they_say_and_answers_stay(trained: Trained, calibrated: Path) -> None:
    before, after = load_pipeline(trained["bert_textcat"]["model"]), load_pipeline(calibrated)
    examples = noisy(after, 600, 3, "bert_textcat")
    texts = [example.text for example in examples]
    truth = [example.reference.cats["pos"] > 0 for example in examples]
    scores = cats(after, texts)
    assert (scores.argmax(1) == cats(before, texts).argmax(1)).all()
    right = np.mean(scores.argmax(1) == truth)
    gaps = [abs(cats(nlp, texts).max(1).mean() - right) for nlp in (before, after)]
    assert gaps[1] < 0.11 < gaps[0]
    facts = after.meta["calibration"]
    assert facts["temperature"] > 1.5
    assert facts["calibration_error"][1] < facts["calibration_error"][0]


def test_a_text_gets_a_decision_and_why(calibrated: Path) -> None:
    nlp = load_pipeline(calibrated)
    rules = pipe_of(nlp).cfg["decision"]
    for doc in nlp.pipe(TEXTS):
        found = doc._.bert_textcat["bert_textcat"]
        best = max(doc.cats, key=lambda label: doc.cats[label])
        if found["unlike"] > 0.9:
            expected = ("unknown", "unlike the training texts")
        elif doc.cats[best] < rules["abstention"]["score"]:
            expected = ("abstain", "unsure")
        else:
            expected = (best, "sure")
        assert (found["decision"], found["why"]) == expected
        assert found["set"][0] == best
        inside = {label for label, score in doc.cats.items() if score >= rules["sets"]["score"]}
        assert set(found["set"]) == inside | {best}


def test_what_is_strange_is_farther_than_what_is_usual(calibrated: Path) -> None:
    nlp = load_pipeline(calibrated)
    usual = [found["unlike"] for found in said(nlp, [text for text, _ in make_rows(100, 4)])]
    strange = [found["unlike"] for found in said(nlp, ["abbaab", "味味味味味味", "，。，。，。"])]
    assert np.mean([share > 0.9 for share in usual]) == pytest.approx(0.1, abs=0.1)
    assert np.mean(strange) > np.mean(usual) + 0.1


def test_a_pipeline_that_was_never_calibrated_says_no_more_than_before(trained: Trained) -> None:
    nlp = load_pipeline(trained["bert_textcat"]["model"])
    assert all(set(found) == {"pieces", "pieces_read", "windows"} for found in said(nlp))
    assert answer_all(nlp, TEXTS)[0].decision is None  # type: ignore[union-attr]


WAYS: dict[str, Callable[[Language, Path], Language]] = {
    "disk": lambda nlp, path: nlp.to_disk(path) or spacy.load(path),
    "bytes": lambda nlp, path: spacy.blank("zh", config=nlp.config).from_bytes(nlp.to_bytes()),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_survives(calibrated: Path, way: str, tmp_path: Path) -> None:
    nlp = load_pipeline(calibrated)
    other = WAYS[way](nlp, tmp_path / "copy")
    assert said(other) == said(nlp)
    assert np.array_equal(cats(other), cats(nlp))


@pytest.mark.parametrize("format", ["torch", "onnx"])
def test_it_survives_in_another_engine(calibrated: Path, format: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx-export]")
    nlp = load_pipeline(calibrated)
    other = load_pipeline(export(calibrated, tmp_path / "out", format))
    assert [found["decision"] for found in said(other)] == [one["decision"] for one in said(nlp)]
    assert np.allclose(cats(other), cats(nlp), atol=1e-5)


def test_eight_bits_are_calibrated_anew(
    trained: Trained, calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx-export]")
    dev = trained["bert_textcat"]["dev"]
    made = export(calibrated, tmp_path / "out", "onnx", precision="int8", dev=dev, force=True)
    assert f"Calibrated anew on {dev}" in capsys.readouterr().out
    small, exact = load_pipeline(made), load_pipeline(calibrated)
    rules, others = (pipe_of(nlp).cfg["decision"] for nlp in (small, exact))
    assert rules.keys() == others.keys()
    assert rules["novelty"] != others["novelty"]  # of its own doubts
    assert small.meta["calibration"]["temperature"] == pytest.approx(1.0, abs=0.1)


def test_labels_apart_get_slopes_and_thresholds(trained: Trained, tmp_path: Path) -> None:
    given = trained["bert_textcat_multilabel"]
    facts = calibrate(
        given["model"],
        tmp_path / "out",
        given["dev"],
        Aims(right=0.5, aim="f1"),
        train=given["dev"],
    )
    nlp = load_pipeline(tmp_path / "out")
    thresholds = pipe_of(nlp).cfg["thresholds"]
    assert thresholds == pytest.approx(facts["thresholds"])
    for doc in nlp.pipe(TEXTS):
        found = doc._.bert_textcat["bert_textcat_multilabel"]
        expected = [label for label, score in doc.cats.items() if score >= thresholds[label]]
        assert found["decision"] in (expected, "abstain", "unknown")
        (answer,) = answer_all(nlp, [doc.text])
        assert answer is not None
        assert answer.labels == expected
    calibrate(tmp_path / "out", tmp_path / "again", given["dev"])
    again = load_pipeline(tmp_path / "again")
    texts = [text for text, _ in make_rows(60, 7)]
    assert [answer.labels for answer in answer_all(again, texts) if answer] == [
        answer.labels for answer in answer_all(nlp, texts) if answer
    ]
    long, short = (nlp(text).cats["long"] for text in (TEXTS[4], "好吃"))
    assert long > 0.5 > short


def test_the_command_says_what_it_found(trained: Trained, tmp_path: Path) -> None:
    given = trained["bert_textcat"]
    aims = ("--right", "0.6", "--coverage", "0.9", "--train", given["train"])
    done = run_cli("calibrate", given["model"], tmp_path / "out", "--dev", given["dev"], *aims)
    for part in ("Calibration error", "temperature", "it abstains", "Sets hold", "called unknown"):
        assert part in done.stdout
    nlp = load_pipeline(tmp_path / "out")
    assert json.loads(json.dumps(nlp.meta["calibration"])) == nlp.meta["calibration"]


@pytest.mark.parametrize(
    ("aims", "problem"),
    [
        (Aims(right=1.5), r"--right 1\.5: give a share"),
        (Aims(coverage=0.0), "--coverage 0: give a share"),
        (Aims(right=0.995), "takes 598 texts at least, all"),
        (Aims(right=0.999), "takes 2,995 texts at least"),
        (Aims(coverage=0.999), "takes 999 texts at least"),
        (Aims(aim="f1"), "labels that don't exclude each other"),
        (Aims(known=0.95), r"--known 0\.95 is measured from the training texts: give --train"),
    ],
)
def test_what_cannot_be_reached_is_said_in_a_line(
    trained: Trained, aims: Aims, problem: str, tmp_path: Path
) -> None:
    given = trained["bert_textcat"]
    with pytest.raises(BertZhError, match=problem):
        calibrate(given["model"], tmp_path / "out", given["dev"], aims)
    assert not list(tmp_path.iterdir())


def shard(folder: Path, rows: list[tuple[str, dict[str, float]]]) -> Path:
    nlp = spacy.blank("zh")
    examples = [Example.from_dict(nlp.make_doc(text), {"cats": cats}) for text, cats in rows]
    folder.mkdir()
    DocBin(docs=[example.reference for example in examples]).to_disk(folder / "00000.spacy")
    return folder


def test_corpora_that_tell_too_little_are_named(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = trained["bert_textcat"]
    one = shard(tmp_path / "one", [(f"好吃{i}", {"neg": 0.0, "pos": 1.0}) for i in range(60)])
    calibrate(given["model"], tmp_path / "out", one, train=given["dev"])
    assert "fewer than 20 texts of neg (0)" in capsys.readouterr().out
    few = shard(tmp_path / "few", [("好吃", {"neg": 0.0, "pos": 1.0})] * 9)
    assert "temperature" not in calibrate(given["model"], tmp_path / "few_out", few)
    before, after = load_pipeline(given["model"]), load_pipeline(tmp_path / "few_out")
    assert np.array_equal(cats(before), cats(after))
    strange = shard(tmp_path / "strange", [("好吃", {"neg": 0.0, "meh": 1.0})] * 60)
    with pytest.raises(BertZhError, match="labels that the pipeline was not trained on: meh"):
        calibrate(given["model"], tmp_path / "no", strange)
    calibrate(given["model"], tmp_path / "same", given["dev"], train=given["dev"])
    assert "learnt by heart" in capsys.readouterr().out


def test_a_classifier_of_spacy_is_refused(trained: Trained, tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    pipe = nlp.add_pipe("textcat")
    for label in ("neg", "pos"):
        pipe.add_label(label)
    nlp.initialize()
    nlp.to_disk(tmp_path / "plain")
    with pytest.raises(BertZhError, match="'textcat' can't be calibrated: expected bert_textcat"):
        calibrate(tmp_path / "plain", tmp_path / "out", trained["bert_textcat"]["dev"])


@pytest.mark.parametrize(
    "damage",
    [
        {"decision": {"novelty": {"known": 0.9} | {name: [2.0, 1.0] for name in QUANTILES}}},
        {"decision": {"sets": {"coverage": 0.9, "score": "0.5"}}},
        {"decision": {"abstention": {"right": 2, "score": 0.5}}},
        {"decision": {"other": 1}},
        {"thresholds": {"meh": 0.5}},
        {"thresholds": {"neg": 1.5}},
    ],
)
def test_damaged_rules_are_refused(
    calibrated: Path, damage: dict[str, Any], tmp_path: Path
) -> None:
    nlp = load_pipeline(calibrated)
    nlp.to_disk(tmp_path / "copy")
    path = tmp_path / "copy" / "bert_textcat" / "cfg"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **damage}), "utf-8")
    with pytest.raises(BertZhError, match="can't be read"):
        load_pipeline(tmp_path / "copy")


def test_few_texts_tell_nothing_of_strange_ones(trained: Trained, tmp_path: Path) -> None:
    given = trained["bert_textcat"]
    few = shard(tmp_path / "few", [(f"好吃{i}", {"neg": 0.0, "pos": 1.0}) for i in range(60)])
    words = ["calibrate", given["model"], tmp_path / "out", "--dev", few, "--train", given["dev"]]
    assert "Too few texts to tell which are unlike" in run_cli(*words).stdout
    with pytest.raises(BertZhError, match=r"--known 0\.99 takes 100 texts at least.*has 60"):
        calibrate(given["model"], tmp_path / "no", few, Aims(known=0.99), train=given["dev"])


def test_compress_keeps_what_was_promised(
    trained: Trained, calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = trained["bert_textcat"]["dev"]
    compress(calibrated, tmp_path / "fast", dev, agree=0.8, loss=0.2)
    assert f"Calibrated anew on {dev}" in capsys.readouterr().out
    fast = load_pipeline(tmp_path / "fast")
    assert pipe_of(fast).cascade
    promised = [pipe_of(nlp).cfg["decision"] for nlp in (fast, load_pipeline(calibrated))]
    assert [rules["abstention"]["right"] for rules in promised] == [pytest.approx(0.6)] * 2
    assert promised[0] != promised[1]


def test_it_can_learn_on(
    trained: Trained, calibrated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And then promises nothing any more."""
    nlp = spacy.load(calibrated)
    examples = noisy(nlp, 16, 5, "bert_textcat")
    optimizer = nlp.resume_training()
    losses = nlp.update(examples, sgd=optimizer)
    assert np.isfinite(losses["bert_textcat"])
    assert "its decision is off" in caplog.text
    assert not {"decision", "why", "set"} & said(nlp)[0].keys()
    pipe_of(nlp).add_label("neu")
    assert set(nlp("好吃").cats) == {"neg", "pos", "neu"}


def test_a_cascade_and_a_calibration_get_on(calibrated: Path, trained: Trained) -> None:
    """In either order the n-grams answer the same texts; of all it is told how strange they are."""
    nlp, plain = load_pipeline(calibrated), load_pipeline(trained["bert_textcat"]["model"])
    texts = [text for text, _ in make_rows(60, 6)]
    docs = [plain.make_doc(text) for text in texts]
    linear, _ = halves(pipe_of(plain).model, docs)
    middle = float(np.median(margins(linear)))
    pipe_of(plain).cascade = Cascade(margin=middle, temperature=1.0)
    given = trained["bert_textcat"]
    fit(plain, pipe_of(plain), given["dev"], AIMS, given["train"])
    temperature = nlp.meta["calibration"]["temperature"]
    pipe_of(nlp).cascade = Cascade(margin=middle / temperature, temperature=1.0)
    first, second = said(plain, texts), said(nlp, texts)
    answered = [found["answered_by"] for found in first]
    assert answered == [found["answered_by"] for found in second]
    assert set(answered) == {"ngrams", "network"}
    assert all("unlike" in found for found in second)
    assert np.allclose(cats(plain, texts), cats(nlp, texts), atol=1e-3)
