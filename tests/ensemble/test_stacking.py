"""A model that learns from held-out rows how far to believe each run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from spacy_bert_zh.ensemble import ensemble
from spacy_bert_zh.ensemble.committee import find_shares
from spacy_bert_zh.ensemble.mixture import Mixture, evenly
from spacy_bert_zh.ensemble.runs import find_logits, load_run
from spacy_bert_zh.ensemble.stacking import learn
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.flow import export
from spacy_bert_zh.folds import Rows, judge, read_complete, read_rows, write_judged
from spacy_bert_zh.loading import load_pipeline, take_apart
from tests.conftest import pipe_of, run_cli
from tests.ensemble.conftest import scores


def rows_of(gold: np.ndarray, exclusive: bool = True) -> Rows:
    count = len(gold)
    labels = [f"l{i}" for i in range(gold.shape[1])]
    return Rows([str(i) for i in range(count)], labels, gold, [None] * count, exclusive)


def told(gold: np.ndarray, how: float, seed: int) -> np.ndarray:
    """Scores that know the truth as well as `how` says."""
    noise = np.random.default_rng(seed).normal(size=gold.shape)
    return softmax(how * gold + noise, axis=1)


def accuracy(mixture: Mixture, said: np.ndarray, gold: np.ndarray) -> float:
    return float((mixture(find_logits(said, True)).argmax(1) == gold.argmax(1)).mean())


@pytest.fixture(scope="module")
def gold() -> np.ndarray:
    return np.eye(4, dtype=bool)[np.random.default_rng(0).integers(4, size=600)]


def test_it_believes_the_one_that_knows(gold: np.ndarray) -> None:
    said = np.stack([told(gold, 0.0, 1), told(gold, 3.0, 2)])
    guesser, knower = learn(rows_of(gold), said, True).shares
    assert abs(guesser) < 0.1 < 0.9 < knower


def test_it_sees_through_one_that_takes_labels_for_each_other(gold: np.ndarray) -> None:
    """The mean of the logits can't: this is what stacking is for."""
    turned = told(gold, 3.0, 3)[:, [1, 0, 2, 3]]
    said = np.stack([turned, told(gold, 1.0, 4)])
    half = slice(0, 300), slice(300, 600)
    mixture = learn(rows_of(gold[half[0]]), said[:, half[0]], True)
    found = accuracy(mixture, said[:, half[1]], gold[half[1]])
    mean = accuracy(evenly(np.array([0.5, 0.5]), 4), said[:, half[1]], gold[half[1]])
    assert found > 0.85 > 0.7 > mean


def test_it_says_what_its_regression_says_whatever_softmax_left(gold: np.ndarray) -> None:
    said = np.stack([told(gold, 1.0, 5), told(gold, 2.0, 6)])
    mixture = learn(rows_of(gold), said, True)
    logits = find_logits(said, True)
    shifted = logits + np.random.default_rng(7).normal(size=(2, len(gold), 1))
    wanted = softmax(mixture(logits), axis=1)
    np.testing.assert_allclose(softmax(mixture(shifted), axis=1), wanted, atol=1e-9)
    centred = logits - logits.mean(axis=2, keepdims=True)
    features = centred.transpose(1, 0, 2).reshape(len(gold), -1)
    models = (
        LogisticRegression(C=strength, max_iter=1_000).fit(features, gold.argmax(1))
        for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    )
    gaps = [np.abs(model.predict_proba(features) - wanted).max() for model in models]
    assert min(gaps) < 1e-9


def test_two_labels_and_one_that_no_row_has(gold: np.ndarray) -> None:
    two = gold[:, :2][gold[:, :2].any(axis=1)]
    three = np.hstack([two, np.zeros((len(two), 1), dtype=bool)])
    said = np.stack([told(three, 2.0, 8)])
    mixture = learn(rows_of(three), said, True)
    assert accuracy(mixture, said, three) > 0.8
    assert not (mixture(find_logits(said, True)).argmax(1) == 2).any()


def test_labels_that_dont_exclude_each_other() -> None:
    random = np.random.default_rng(0)
    gold = random.random((400, 3)) < [0.5, 0.3, 0.005]
    said = np.stack([expit(random.normal(size=gold.shape) + how * gold) for how in (0.0, 2.0)])
    mixture = learn(rows_of(gold, exclusive=False), said, False)
    for label in (0, 1):
        guesser, knower = mixture.matrices[:, label, label]
        assert abs(guesser) < 0.3 < 0.7 < knower
    assert gold[:, 2].sum() < 5
    np.testing.assert_array_equal(mixture.matrices[:, 2, 2], 0.5)  # too few rows to learn from
    assert mixture.bias[2] == 0
    off = ~np.eye(3, dtype=bool)
    assert not mixture.matrices[:, off].any()


def test_rows_may_happen_to_have_one_label_each(gold: np.ndarray) -> None:
    """What the pipeline says of labels counts: it may say of another text that none holds."""
    random = np.random.default_rng(0)
    said = np.stack([expit(random.normal(size=gold.shape) + 4 * gold - 2) for _ in range(2)])
    mixture = learn(rows_of(gold), said, False)
    assert not mixture.matrices[:, ~np.eye(4, dtype=bool)].any()
    none = expit(np.full((2, 50, 4), -2.0) + random.normal(size=(2, 50, 4)))
    assert (mixture(find_logits(none, False)) < 0).mean() > 0.9


def test_labels_in_another_order(gold: np.ndarray) -> None:
    said = np.stack([told(gold, 1.0, 5), told(gold, 2.0, 6)])
    mixture, logits = learn(rows_of(gold), said, True), find_logits(said, True)
    given, wanted = ["l0", "l1", "l2", "l3"], ["l2", "l0", "l3", "l1"]
    places = [given.index(label) for label in wanted]
    found = mixture.ordered(given, wanted)(logits[:, :, places])
    np.testing.assert_allclose(found, mixture(logits)[:, places], atol=1e-12)


@pytest.fixture(scope="module")
def crossvalidated(
    runs: list[Path], corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """What runs say of the dev texts stands for what folds would say of rows they don't know."""
    rows = read_rows(corpus / "dev")
    folders = []
    for run in runs:
        folder = tmp_path_factory.mktemp("crossvalidated")
        write_judged(folder / "predictions.jsonl", rows, judge(run, rows, np.arange(40)))
        folders.append(folder)
    return folders


def test_one_pipeline_says_it(
    runs: list[Path], crossvalidated: list[Path], corpus: Path, tmp_path: Path
) -> None:
    words = [word for folder in crossvalidated for word in ("--crossvalidated", folder)]
    given = ("--dev", corpus / "dev", "--train", corpus / "dev", "--method", "stacking")
    done = run_cli("ensemble", *runs, "--output", tmp_path / "one", *given, *words)
    assert done.stdout.count("share") == 2
    nlp = load_pipeline(tmp_path / "one")
    assert nlp.meta["ensemble"]["method"] == "stacking"
    rows = read_rows(corpus / "dev")
    said = np.stack([read_complete(folder, rows) for folder in crossvalidated])
    mixture = learn(rows, said, True).ordered(rows.labels, take_apart(pipe_of(nlp)).labels)
    logits = np.stack([find_logits(scores(load_pipeline(run)), True) for run in runs])
    wanted = softmax(mixture(logits), axis=1)
    np.testing.assert_allclose(scores(nlp), wanted, atol=1e-4)
    again = export(tmp_path / "one", tmp_path / "torch", "torch")
    np.testing.assert_allclose(scores(load_pipeline(again)), wanted, atol=1e-4)
    shares = [load_run(run, corpus / "dev", None) for run in runs]
    assert not np.allclose(find_shares(shares), mixture.shares, atol=1e-4)


def test_what_is_refused(
    runs: list[Path], crossvalidated: list[Path], corpus: Path, tmp_path: Path
) -> None:
    def stacked(**given: Any) -> Any:
        options = {"train": corpus / "dev", "crossvalidated": crossvalidated, **given}
        return ensemble(runs, tmp_path / "one", corpus / "dev", method="stacking", **options)

    for given, message in (
        ({"train": None}, "stacking learns from --train"),
        ({"crossvalidated": []}, "stacking learns from --train"),
        ({"crossvalidated": crossvalidated[:1]}, "2 pipelines, and 1 folders"),
        ({"train": corpus / "train"}, "these are scores of another corpus"),
    ):
        with pytest.raises(BertZhError, match=message):
            stacked(**given)
    with pytest.raises(BertZhError, match="stacking learns from --train"):
        ensemble(runs, tmp_path / "one", corpus / "dev", train=corpus / "train")
    assert not (tmp_path / "one").exists()
