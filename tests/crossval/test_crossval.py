"""Cross-validation: every row judged once by a pipeline that hasn't seen it, even after a kill."""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin

from spacy_bert_zh.audit import Options as AuditOptions
from spacy_bert_zh.audit import audit
from spacy_bert_zh.crossval import Options, crossval
from spacy_bert_zh.crossval.report import lines, spread
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from tests.conftest import REPOSITORY, make_examples, run_cli

CONFIG = REPOSITORY / "benchmarks" / "ngrams.cfg"
OPTIONS = Options(folds=2)
QUICK = {"training.optimizer.learn_rate.total_steps": 20}


@pytest.fixture(scope="module")
def done(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("crossval") / "out"
    report = crossval(CONFIG, corpus / "train", output, overrides=QUICK, options=OPTIONS)
    return output, report


def said(output: Path) -> list[dict[str, Any]]:
    lines = (output / "predictions.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_row_is_judged_by_others(done: tuple[Path, dict[str, Any]], corpus: Path) -> None:
    output, report = done
    rows = said(output)
    docs = list(read_shards(spacy.blank("zh"), corpus / "train"))
    assert [row["text"] for row in rows] == [doc.text for doc in docs]
    assert [row["gold"] for row in rows] == [
        [label for label, value in doc.cats.items() if value] for doc in docs
    ]
    right = np.mean([row["gold"] == row["given"] for row in rows])
    assert report["accuracy"] == right > 0.9
    assert sum(one["judged"] for one in report["folds"]) == len(rows)
    for one in report["folds"]:
        # A tenth of the rows to learn from chooses the step: they aren't those that judge.
        assert one["learnt"] + one["judged"] == pytest.approx(0.95 * len(rows), abs=3)
    low, high = report["figures"]["accuracy"]["interval"]
    assert low <= report["figures"]["accuracy"]["mean"] <= high
    assert "over 2 folds" in lines(report)[0]
    page = (output / "report.html").read_text("utf-8")
    assert "Folds" in page and "Confusion matrix" in page and page.count("<svg") >= 3
    assert spacy.load(output / "folds" / "0" / "model-best")("好吃，推荐").cats["pos"] > 0.5
    assert not (output / "folds" / "0" / "model-last").exists()


def test_it_goes_on_after_the_folds_that_are_done(
    done: tuple[Path, dict[str, Any]], corpus: Path, tmp_path: Path
) -> None:
    output, report = done
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    for name in ("folds/1", "predictions.jsonl", "report.json", "report.html"):
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    kept = (copy / "folds" / "0" / "predictions.jsonl").stat().st_mtime_ns
    again = crossval(CONFIG, corpus / "train", copy, overrides=QUICK, options=OPTIONS)
    assert again == report and said(copy) == said(output)
    assert (copy / "folds" / "0" / "predictions.jsonl").stat().st_mtime_ns == kept
    for overrides, options in ((QUICK, Options(folds=3)), ({}, OPTIONS)):
        with pytest.raises(BertZhError, match="holds another crossval"):
            crossval(CONFIG, corpus / "train", copy, overrides=overrides, options=options)
    with pytest.raises(BertZhError, match="holds another crossval"):
        crossval(CONFIG, corpus / "dev", copy, overrides=QUICK, options=OPTIONS)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_scores(
    done: tuple[Path, dict[str, Any]], corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = [sys.executable, "-m", "spacy_bert_zh", "crossval", CONFIG, corpus / "train", output]
    command = [*map(str, words), "--folds", "2"]
    command += [str(word) for key, value in QUICK.items() for word in (f"--{key}", value)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (output / "folds" / "1" / "corpus").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert said(output) == said(done[0])
    assert json.loads((output / "report.json").read_text("utf-8")) == done[1]


def test_audit_takes_what_was_said(
    done: tuple[Path, dict[str, Any]], corpus: Path, tmp_path: Path
) -> None:
    output, report = done
    found = audit(corpus / "train", tmp_path / "audited", AuditOptions(model=output))
    assert found["agreed"] == report["accuracy"] and found["model"] == "out"
    assert "a pipeline of out" in (tmp_path / "audited" / "audit.html").read_text("utf-8")
    with pytest.raises(BertZhError, match="another corpus"):
        audit(corpus / "dev", tmp_path / "other", AuditOptions(model=output))
    part = tmp_path / "part.jsonl"
    text = (output / "predictions.jsonl").read_text("utf-8")
    part.write_text("\n".join(text.splitlines()[:50]), "utf-8")
    with pytest.raises(BertZhError, match="scores of 50 of 120 rows"):
        audit(corpus / "train", tmp_path / "other", AuditOptions(model=part))


def test_the_interval_grows_with_what_folds_share() -> None:
    values, folds = [0.7, 0.8, 0.9], [{"judged": 100}] * 3
    wide = spread(values, [200] * 3, folds)
    assert wide["mean"] == pytest.approx(0.8) and wide["deviation"] == pytest.approx(0.1)
    # Student's 4.303 with 2 degrees of freedom, times 0.1, times the root of 1/3 + 1/2.
    assert wide["interval"] == pytest.approx([0.4072, 1.0], abs=1e-3)
    narrow = spread(values, [20_000] * 3, folds)
    assert narrow["interval"][0] > wide["interval"][0]


def write(folder: Path, labels: Counter[str]) -> Path:
    docs = [example.reference for example in make_examples(spacy.blank("zh"), labels.total(), 3)]
    for doc, label in zip(docs, labels.elements(), strict=True):
        doc.cats = {one: float(one == label) for one in labels}
    folder.mkdir()
    DocBin(docs=docs).to_disk(folder / "0.spacy")
    return folder


def test_bad_input_is_one_line(corpus: Path, tmp_path: Path) -> None:
    rare = write(tmp_path / "rare", Counter(财经=4, 体育=3))
    with pytest.raises(BertZhError, match="the commonest has 4, --folds is 5; take fewer folds"):
        crossval(CONFIG, rare, tmp_path / "out")
    tiny = write(tmp_path / "tiny", Counter(财经=2, 体育=2))
    with pytest.raises(BertZhError, match="too few rows"):
        crossval(CONFIG, tiny, tmp_path / "out", options=OPTIONS)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "train.jsonl").write_text('{"text": "甲"}', "utf-8")
    with pytest.raises(BertZhError, match="no labels"):
        crossval(CONFIG, tmp_path / "raw", tmp_path / "out")
    with pytest.raises(BertZhError, match=r"--paths\.train: .* leave it out"):
        crossval(CONFIG, corpus / "train", tmp_path / "out", overrides={"paths.train": "x"})
    with pytest.raises(BertZhError, match="inside the input"):
        crossval(CONFIG, corpus / "train", corpus / "train" / "out")
    with pytest.raises(BertZhError, match="No config file"):
        crossval(tmp_path / "none.cfg", corpus / "train", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_with_fewer_rows_than_folds_is_named(tmp_path: Path) -> None:
    rare = write(tmp_path / "rare", Counter(财经=20, 体育=20, 意外=1))
    told: list[str] = []
    with pytest.raises(BertZhError, match=r"training\.max_step is unknown"):
        overrides = {"training.max_step": 1}
        crossval(CONFIG, rare, tmp_path / "out", overrides=overrides, say=told.append)
    assert "'意外' (1)" in told[0] and "财经" not in told[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "--folds is 1: it must be 2 or more"),
        ({"dev_share": 1.0}, "--dev-share is 1.0"),
        ({"minutes": -1}, "--minutes is -1"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BertZhError, match=message):
        Options(**options)


def test_the_command_says_what_is_wrong_in_one_line(corpus: Path, tmp_path: Path) -> None:
    words = ["crossval", CONFIG, corpus / "train", tmp_path / "out", "--training.max_step", 1]
    out = run_cli(*words, check=False)
    assert out.returncode == 1 and out.stderr.count("\n") == 1
    assert "training.max_step is unknown" in out.stderr and not (tmp_path / "out").exists()
