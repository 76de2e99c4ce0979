"""Students of every kind, of one teacher and of several; what is kept, and what is refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.distill import distill
from spacy_bert_zh.distill.students import take_layers
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.loading import load_pipeline, take_apart
from tests.conftest import (
    FACTORIES,
    REPOSITORY,
    TORCH,
    close,
    make_examples,
    make_rows,
    pipe_of,
    teach,
)

TEXTS = [text for text, _ in make_rows(20, 7)]
# Rates at which nothing is learnt: what a student says is then what it began with.
STILL = {
    "training.optimizer.learn_rate.initial_rate": 1e-12,
    "training.optimizer.L2": 0.0,
    "training.optimizer.use_averages": False,
    "training.max_steps": 2,
}
QUICK = {"training.max_steps": 60, "training.optimizer.learn_rate.initial_rate": 5e-3}


def make_teacher(
    checkpoint: Path, factory: str = "bert_textcat", seed: int = 1, solved: bool = False
) -> Language:
    """A trained ensemble on the tiny BERT, with n-grams that are learnt or solved."""
    backbone = {"@architectures": TORCH, "name": str(checkpoint), "max_length": 48}
    model = {
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v2",
        "exclusive_classes": factory == "bert_textcat",
        "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096},
        "linear_rate": 1.0,
        "backbone": {**backbone, "mixed_precision": False},
    }
    if solved:
        del model["linear_rate"]
        model["@architectures"] = "spacy_bert_zh.BertTextCatEnsemble.v4"
        model["linear_model"]["@architectures"] = "spacy_bert_zh.NgramLinear.v2"
    nlp = spacy.blank("zh")
    nlp.add_pipe(factory, config={"model": model})
    teach(nlp, make_examples(nlp, 64, seed), epochs=4)
    return nlp


@pytest.fixture(scope="module")
def teachers(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of trained pipelines."""
    folder = tmp_path_factory.mktemp("teachers")
    makers: dict[str, Callable[[], Language]] = {
        "first": lambda: make_teacher(checkpoint),
        "second": lambda: make_teacher(checkpoint, seed=5),
        "solved": lambda: make_teacher(checkpoint, solved=True),
        "multilabel": lambda: make_teacher(checkpoint, FACTORIES[1]),
        "blank": lambda: spacy.blank("zh"),
    }
    for name, make in makers.items():
        make().to_disk(folder / name)
    renamed = make_teacher(checkpoint)
    pipe_of(renamed).add_label("mixed")
    renamed.to_disk(folder / "renamed")
    return {path.name: str(path) for path in folder.iterdir()}


def cats(pipeline: str | Path, texts: list[str] = TEXTS) -> list[dict[str, float]]:
    return [doc.cats for doc in load_pipeline(pipeline).pipe(texts)]


def agreeing(one: list[dict[str, float]], other: list[dict[str, float]]) -> int:
    """Of how many texts two pipelines say the same."""
    return sum((a["pos"] > 0.5) == (b["pos"] > 0.5) for a, b in zip(one, other, strict=True))


def kept(output: Path) -> dict[str, Any]:
    """The documents with scores, by their text."""
    return {doc.text: doc for doc in read_shards(spacy.blank("zh"), output / "scores")}


def test_ngrams_learn_what_a_teacher_says(
    teachers: dict[str, str], corpus: Path, tmp_path: Path
) -> None:
    texts = [text for text, _ in make_rows(60, 9)]
    dev = next(read_shards(spacy.blank("zh"), corpus / "dev")).text
    (tmp_path / "more.txt").write_text("\n".join([*texts, dev, "新的一句话"]), "utf-8")
    words = [teachers["first"], tmp_path / "out", "--corpus", corpus, "--steps", 60]
    words += ["--unlabelled", tmp_path / "more.txt"]
    done = CliRunner().invoke(app, ["distill", *map(str, words)])
    assert done.exit_code == 0, done.output
    docs = kept(tmp_path / "out")
    assert "新的一句话" in docs and "gold" not in docs["新的一句话"].user_data
    assert docs["新的一句话"].cats == close(cats(teachers["first"], ["新的一句话"])[0])
    labelled = next(read_shards(spacy.blank("zh"), corpus / "train"))
    assert docs[labelled.text].user_data["gold"] == labelled.cats
    # What the student will be measured on, it must not have learnt.
    dev_texts = {doc.text for doc in read_shards(spacy.blank("zh"), corpus / "dev")}
    train_texts = {doc.text for doc in read_shards(spacy.blank("zh"), corpus / "train")}
    assert not docs.keys() & (dev_texts - train_texts)

    best = tmp_path / "out" / "model-best"
    taught, learnt = cats(teachers["first"]), cats(best)
    assert agreeing(taught, learnt) >= 16
    config = (best / "config.cfg").read_text("utf-8")
    assert "spacy_bert_zh.NgramTextCat.v1" in config and "temperature = 1.0" in config
    assert str(tmp_path) not in config + (best / "meta.json").read_text("utf-8")


def test_teachers_are_asked_once(
    teachers: dict[str, str], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spacy_bert_zh.distill import scores

    asked: list[str] = []
    answer_all = scores.answer_all

    def watch(nlp: Language, texts: list[str]) -> Any:
        asked.extend(texts)
        return answer_all(nlp, texts)

    monkeypatch.setattr(scores, "answer_all", watch)
    monkeypatch.setattr(scores, "SHARD", 50)
    both = [teachers["first"], teachers["second"]]
    output = tmp_path / "out"
    distill(both, output, corpus, overrides=QUICK)
    assert len(asked) == 240  # 120 texts, two teachers
    mean = [
        {label: (a[label] + b[label]) / 2 for label in a}
        for a, b in zip(*(cats(teacher, list(kept(output))) for teacher in both), strict=True)
    ]
    assert [doc.cats for doc in kept(output).values()] == [close(cats) for cats in mean]

    # A run that was cut off lacks some shards; another student needs no other scores.
    (output / "scores" / "00001.spacy").unlink()
    asked.clear()
    distill(both, output, corpus, student="layers=1", temperature=4.0, overrides=QUICK)
    assert len(asked) == 100
    asked.clear()
    distill(both[:1], output, corpus, overrides=QUICK)
    assert len(asked) == 120


@pytest.mark.parametrize("name", ["first", "multilabel"])
def test_all_layers_begin_as_the_teacher(
    name: str, teachers: dict[str, str], corpus: Path, tmp_path: Path
) -> None:
    best = distill([teachers[name]], tmp_path, corpus, student="layers=2", overrides=STILL)
    assert cats(best) == [close(scores, 1e-4) for scores in cats(teachers[name])]
    assert pipe_of(load_pipeline(best)).labels == pipe_of(load_pipeline(teachers[name])).labels


def test_solved_ngrams_know_the_texts_without_labels(
    teachers: dict[str, str], corpus: Path, tmp_path: Path
) -> None:
    """What the teacher says of them: those of its own training can't know their words."""
    more = [f"{text}，麻辣烫" for text, label in make_rows(80, 11) if label == "pos"]
    (tmp_path / "more.txt").write_text("\n".join(more), "utf-8")
    best = distill(
        [teachers["solved"]],
        tmp_path / "out",
        corpus,
        student="layers=2",
        unlabelled=tmp_path / "more.txt",
        overrides=STILL,
    )
    student, teacher = (take_apart(pipe_of(load_pipeline(p))) for p in (best, teachers["solved"]))
    for name, weights in teacher.checkpoint.weights.items():
        np.testing.assert_allclose(student.checkpoint.weights[name], weights, atol=1e-5)
    assert len(student.ngrams.weights) > len(teacher.ngrams.weights)
    (before,), (after,) = (cats(p, ["麻辣烫"]) for p in (teachers["solved"], best))
    assert after["pos"] > before["pos"]
    assert agreeing(cats(teachers["solved"]), cats(best)) >= 16


def test_layers_are_spread_evenly_and_learn(
    teachers: dict[str, str], corpus: Path, tmp_path: Path
) -> None:
    best = distill([teachers["first"]], tmp_path, corpus, student="layers=1", overrides=QUICK)
    student, teacher = (take_apart(pipe_of(load_pipeline(p))) for p in (best, teachers["first"]))
    assert student.checkpoint.config["num_hidden_layers"] == 1
    assert student.settings["max_length"] == teacher.settings["max_length"] == 48
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert max(row["score"] for row in rows) > 0.8
    nlp = load_pipeline(best)  # and it is an ordinary pipeline, that learns on by gold labels
    losses = nlp.update(make_examples(nlp, 8, 3), sgd=nlp.resume_training())
    assert np.isfinite(losses["bert_textcat"])


def test_which_layers(teachers: dict[str, str]) -> None:
    checkpoint = take_apart(pipe_of(load_pipeline(teachers["first"]))).checkpoint
    name = "encoder.layer.{}.output.dense.bias"
    deep = {name.format(i): np.full(16, i, "float32") for i in range(12)}
    checkpoint.config["num_hidden_layers"] = 12
    for tensor in [key for key in checkpoint.weights if ".layer." in key]:
        del checkpoint.weights[tensor]
    checkpoint.weights.update(deep)
    taken = take_layers(checkpoint, 6)
    found = [int(taken.weights[name.format(i)][0]) for i in range(6)]
    assert found == [0, 2, 4, 7, 9, 11] and name.format(6) not in taken.weights


def test_a_config_is_a_student(
    teachers: dict[str, str], corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    given = {
        **QUICK,
        "paths.weights": str(checkpoint),
        "components.bert_textcat.model.backbone.max_length": 64,
    }
    config = str(REPOSITORY / "configs" / "torch.cfg")
    best = distill([teachers["first"]], tmp_path, corpus, student=config, overrides=given)
    assert pipe_of(load_pipeline(best)).model.name != "bert_textcat_ensemble"


def test_several_labels_a_text(teachers: dict[str, str], corpus: Path, tmp_path: Path) -> None:
    best = distill([teachers["multilabel"]], tmp_path, corpus, overrides=QUICK)
    nlp = load_pipeline(best)
    assert pipe_of(nlp).name == "bert_textcat_multilabel"
    texts = [text for text, _ in make_rows(200, 7)]
    assert agreeing(cats(teachers["multilabel"], texts), cats(best, texts)) >= 170


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["first", "renamed"], {}, "different labels: only one has 'mixed'"),
        (["first", "multilabel"], {}, "the labels of one exclude each other"),
        (["blank"], {}, "blank: The pipeline has no text classifier"),
        (["first"], {"student": "layers=3"}, "has 2 layers: give 1 to 2"),
        (["first"], {"student": "layers=0"}, "has 2 layers: give 1 to 2"),
        (["first"], {"student": "large"}, "--student large: give ngrams, layers=N"),
        (["first"], {"temperature": 0.5}, "--temperature 0.5"),
        (["first"], {"student": str(REPOSITORY / "configs" / "multilabel.cfg")}, "take bert_text"),
        ([], {}, "one teacher or several"),
    ],
)
def test_what_is_refused(
    names: list[str],
    options: dict[str, Any],
    message: str,
    teachers: dict[str, str],
    corpus: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(BertZhError, match=message):
        distill([teachers[name] for name in names], tmp_path / "out", corpus, **options)
    # What the teachers have said stays for the next run, once they were asked.
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == ["scores"]


def test_a_corpus_that_can_t_teach(teachers: dict[str, str], corpus: Path, tmp_path: Path) -> None:
    made = tmp_path / "corpus"
    shutil.copytree(corpus, made)
    shutil.rmtree(made / "train")
    with pytest.raises(BertZhError, match="holds no texts in train"):
        distill([teachers["first"]], tmp_path / "out", made)
    (made / "train").mkdir()
    DocBin().to_disk(made / "train" / "0.spacy")
    with pytest.raises(BertZhError, match="holds no text"):
        distill([teachers["first"]], tmp_path / "out", made)
    doc = spacy.blank("zh").make_doc("一般")
    doc.cats = {"so-so": 1.0}
    DocBin(docs=[doc]).to_disk(made / "train" / "0.spacy")
    with pytest.raises(BertZhError, match="a label that the teachers don't: 'so-so', at '一般'"):
        distill([teachers["first"]], tmp_path / "out", made)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BertZhError, match="No file of the format text in"):
        distill([teachers["first"]], tmp_path / "out", corpus, unlabelled=tmp_path / "empty")
    with pytest.raises(BertZhError, match="can't be read again"):
        distill([teachers["first"]], tmp_path / "out", corpus, unlabelled=Path("-"))
    (tmp_path / "broken.cfg").write_text("[paths\n", "utf-8")
    with pytest.raises(BertZhError, match=r"broken\.cfg"):
        student = str(tmp_path / "broken.cfg")
        distill([teachers["first"]], tmp_path / "out", corpus, student=student)
    assert not (tmp_path / "out").exists()


def test_a_teacher_is_never_overwritten(
    teachers: dict[str, str], corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(teachers["first"], tmp_path / "model-best")
    with pytest.raises(BertZhError, match="can't be input and output at once"):
        distill([str(tmp_path / "model-best")], tmp_path, corpus)
