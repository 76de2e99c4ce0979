"""Resamplings, against scikit-learn on texts that are really drawn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from spacy_bert_zh.evaluate import bootstrap
from spacy_bert_zh.evaluate.bootstrap import (
    answer_columns,
    answer_figures,
    gap_columns,
    gap_error,
    intervals,
    resample,
)
from spacy_bert_zh.evaluate.metrics import measure
from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.evaluate.reliability import calibration_error, make_claims


def say(texts: int, labels: int, exclusive: bool, right: float = 0.8) -> Predictions:
    """Predictions that are right about that often."""
    random = np.random.default_rng([texts, labels])
    names = [f"类{i}" for i in range(labels)]
    if exclusive:
        truth = random.integers(labels, size=texts)
        answer = np.where(random.random(texts) < right, truth, random.integers(labels, size=texts))
        gold, predicted = np.eye(labels, dtype=int)[truth], np.eye(labels, dtype=int)[answer]
    else:
        gold = random.integers(2, size=(texts, labels))
        predicted = np.where(random.random(gold.shape) < right, gold, 1 - gold)
    scores = np.clip(predicted * 0.5 + random.random(gold.shape) * 0.49, 0, 1)
    if exclusive:
        scores /= scores.sum(axis=1, keepdims=True)
    known = np.ones_like(gold, dtype=bool)
    return Predictions(
        names, exclusive, gold, predicted, scores, known, [""] * texts, np.ones(texts, int)
    )


@pytest.mark.parametrize("exclusive", [True, False])
def test_sums_give_the_figures_of_the_texts_drawn(exclusive: bool) -> None:
    said = say(50, 4, exclusive)
    sums = resample(answer_columns(said), 5, seed=3)
    figures = answer_figures(sums, 50)
    random = np.random.default_rng(3)
    for i in range(5):
        rows = random.integers(50, size=50)
        gold, predicted = said.gold[rows], said.predicted[rows]
        present = np.flatnonzero(gold.any(axis=0))
        expected = {
            "accuracy": accuracy_score(gold, predicted),
            "macro_f1": f1_score(gold, predicted, labels=present, average="macro"),
            "micro_f1": f1_score(gold, predicted, average="micro"),
        }
        assert {name: values[i] for name, values in figures.items()} == pytest.approx(expected)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("texts", [1, 7, 100])
def test_each_text_adds_its_gaps_to_the_calibration_error(exclusive: bool, texts: int) -> None:
    said = say(texts, 3, exclusive)
    claims = make_claims(said.scores, said.gold, said.known, exclusive)
    sums = gap_columns(claims, texts).sum(axis=0)
    assert gap_error(sums) == pytest.approx(calibration_error(claims))


def test_blocks_of_resamplings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = answer_columns(say(40, 3, True))
    whole = resample(columns, 20)
    monkeypatch.setattr(bootstrap, "CELLS", 40 * 7)
    assert np.array_equal(resample(columns, 20), whole)


def test_an_interval_is_as_wide_as_theory_has_it() -> None:
    said = say(2000, 5, True)
    metrics = measure(said)
    share = metrics["accuracy"]
    half = 1.96 * np.sqrt(share * (1 - share) / 2000)
    expected = [share - half, share + half]
    assert metrics["intervals"]["accuracy"] == pytest.approx(expected, abs=0.003)
    for name in ("brier", "nll", "ece"):
        low, high = metrics["intervals"][name]
        assert low < metrics["reliability"][name] < high


def test_a_single_text_and_all_right_have_intervals_too() -> None:
    assert measure(say(1, 3, True))["intervals"]["level"] == 0.95
    said = say(30, 3, True)
    right = replace(said, predicted=said.gold)
    claims = make_claims(right.scores, right.gold, right.known, True)
    assert intervals(right, claims, {})["macro_f1"] == [1.0, 1.0]
