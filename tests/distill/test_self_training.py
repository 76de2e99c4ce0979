"""A pipeline that learns on from texts without labels: what it is told, and what is refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.distill import self_train
from spacy_bert_zh.distill.objective import soften
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.loading import load_pipeline
from tests.conftest import REPOSITORY, close, make_rows

CONFIG = REPOSITORY / "configs" / "torch.cfg"
POOL = [text for text, _ in make_rows(60, 11)]


def given(corpus: Path, checkpoint: Path) -> dict[str, Any]:
    return {
        "paths.train": str(corpus / "train"),
        "paths.dev": str(corpus / "dev"),
        "paths.labels": str(corpus / "labels.json"),
        "paths.weights": str(checkpoint),
        "components.bert_textcat.model.backbone.max_length": 48,
        "training.optimizer.learn_rate.total_steps": 40,
        "training.optimizer.learn_rate.initial_rate": 5e-3,
    }


def read(folder: Path) -> list[Doc]:
    return list(read_shards(spacy.blank("zh"), folder))


def test_it_learns_labels_and_sharpened_scores(
    corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    train, dev = read(corpus / "train"), read(corpus / "dev")
    pool, output = tmp_path / "pool.txt", tmp_path / "out"
    known = [train[0].text, dev[0].text]
    pool.write_text("\n".join([*POOL * 20, *known]), "utf-8")
    overrides = given(corpus, checkpoint)
    best = self_train(CONFIG, output, pool, overrides=overrides)

    teacher = load_pipeline(output / "teacher" / "model-best")
    learnt = {doc.text: doc.cats for doc in read(output / "scores" / "00000.spacy")}
    assert learnt and not learnt.keys() & {doc.text for doc in train + dev}
    asked = [text for text in learnt if text in POOL]
    assert len(asked) >= 5
    for text in asked[:5]:
        said = teacher(text).cats
        sharp = {label: float(score**2) for label, score in said.items()}
        assert learnt[text] == close({k: v / sum(sharp.values()) for k, v in sharp.items()})
        assert max(learnt[text].values()) >= max(said.values())
    labelled = read(output / "scores" / "labelled.spacy")
    note = load_pipeline(best).config["self_training"]
    assert len(labelled) == note["labelled_times"] * len(train) and note["labelled_times"] > 1
    assert labelled[0].cats == train[0].cats
    assert len(labelled) / (len(labelled) + note["texts"]) == pytest.approx(1 / 6, abs=0.05)
    nlp = load_pipeline(best)
    right = [max(doc.cats, key=doc.cats.__getitem__) for doc in nlp.pipe(d.text for d in dev)]
    gold = [max(doc.cats, key=doc.cats.__getitem__) for doc in dev]
    assert sum(a == b for a, b in zip(right, gold, strict=True)) > 0.8 * len(dev)

    made = (output / "teacher" / "model-best" / "meta.json").stat().st_mtime_ns
    self_train(CONFIG, output, pool, overrides=overrides)  # the teacher is there already
    assert (output / "teacher" / "model-best" / "meta.json").stat().st_mtime_ns == made


def test_several_labels_are_sharpened_each() -> None:
    sharp = soften(np.array([[0.8, 0.3, 0.5]]), 0.5, False)
    assert sharp[0].tolist() == pytest.approx([16 / 17, 9 / 58, 0.5])


def test_what_is_refused(corpus: Path, checkpoint: Path, tmp_path: Path) -> None:
    overrides = given(corpus, checkpoint)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BertZhError, match="No file of the format text in"):
        self_train(CONFIG, tmp_path / "out", tmp_path / "empty", overrides=overrides)
    with pytest.raises(BertZhError, match="can't be read again"):
        self_train(CONFIG, tmp_path / "out", Path("-"), overrides=overrides)
    (tmp_path / "same.txt").write_text(f"{read(corpus / 'dev')[0].text}\n", "utf-8")
    with pytest.raises(BertZhError, match=r"same\.txt has no text"):
        self_train(CONFIG, tmp_path / "out", tmp_path / "same.txt", overrides=overrides)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(BertZhError, match=r"corpora\.train\.path"):
        self_train(CONFIG, tmp_path / "out", Path("-"), overrides={})
    words = ["train", CONFIG, "-o", tmp_path / "out", "--unlabelled", corpus, "--processes", 2]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 1 and "in one process" in done.output
    assert not (tmp_path / "out").exists()
