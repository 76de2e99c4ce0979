"""Calibration and risk–coverage against scikit-learn, by hand, and in any order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from spacy_bert_zh.evaluate.reliability import (
    BINS,
    Claims,
    area_under_risk,
    bin_sums,
    brier_terms,
    calibration_error,
    coverage_at,
    error_of_luck,
    likelihood_terms,
    make_claims,
    reliability_bins,
    risk_coverage,
)


def claims(scores: list[float], holds: list[int]) -> Claims:
    """Of one label, which holds or doesn't."""
    column, truth = np.array(scores)[:, None], np.array(holds)[:, None]
    return make_claims(column, truth, np.ones_like(truth, dtype=bool), exclusive=False)


def draw(texts: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that sum to 1 and one true label for each text."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(labels), texts)
    return scores, np.eye(labels, dtype=int)[random.integers(labels, size=texts)]


@pytest.mark.parametrize("texts", [BINS, 20 * BINS])
def test_bins_are_those_of_scikit_learn_where_they_come_out_even(texts: int) -> None:
    scores, gold = draw(texts, 2, texts)
    column, truth = scores[:, :1], gold[:, :1]
    made = make_claims(column, truth, np.ones_like(truth, dtype=bool), exclusive=False)
    holds, mean = calibration_curve(truth[:, 0], column[:, 0], n_bins=BINS, strategy="quantile")
    bins = reliability_bins(made)
    assert [one["score"] for one in bins] == pytest.approx(mean)
    assert [one["holds"] for one in bins] == pytest.approx(holds)
    assert calibration_error(made) == pytest.approx(np.abs(holds - mean).mean())


@pytest.mark.parametrize("texts", [1, 2, 7, 14, 16, 31, 1000])
def test_every_bin_has_the_same_mass(texts: int) -> None:
    assert bin_sums(np.ones(texts)) == pytest.approx(np.full(BINS, texts / BINS))


@pytest.mark.parametrize("labels", [2, 5])
def test_brier_and_likelihood_are_those_of_scikit_learn(labels: int) -> None:
    scores, gold = draw(200, labels, 0)
    known = np.ones_like(gold, dtype=bool)
    truth = gold.argmax(axis=1)
    every = {"labels": list(range(labels))}
    assert likelihood_terms(scores, gold, known, True).mean() == pytest.approx(
        log_loss(truth, scores, **every)
    )
    if labels == 2:  # of one of the two, and the other one's is the same
        expected = 2 * brier_score_loss(truth, scores[:, 1])
        assert brier_terms(scores, gold, known, True).mean() == pytest.approx(expected)
    each = [brier_score_loss(gold[:, i], scores[:, i]) for i in range(labels)]
    assert brier_terms(scores, gold, known, True).mean() == pytest.approx(sum(each))
    assert brier_terms(scores, gold, known, False).mean() == pytest.approx(np.mean(each))
    each = [log_loss(gold[:, i], scores[:, i], labels=[0, 1]) for i in range(labels)]
    assert likelihood_terms(scores, gold, known, False).mean() == pytest.approx(np.mean(each))


def test_what_the_corpus_does_not_tell_counts_nowhere() -> None:
    scores, gold = np.array([[0.9, 0.4], [0.2, 0.7]]), np.array([[1, 0], [0, 0]])
    known = np.array([[True, True], [True, False]])
    cells = (np.array([[0.9], [0.4], [0.2]]), np.array([[1], [0], [0]]), np.ones((3, 1), bool))
    for terms in (brier_terms, likelihood_terms):
        assert terms(scores, gold, known, False).mean() == pytest.approx(
            terms(*cells, False).mean()
        )
    assert calibration_error(make_claims(scores, gold, known, False)) == pytest.approx(
        calibration_error(make_claims(*cells, False))
    )


def test_a_score_of_nothing_for_the_truth_has_a_finite_likelihood() -> None:
    scores, gold = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0, 1]])
    for exclusive in (True, False):
        loss = likelihood_terms(scores, gold, np.ones_like(gold, dtype=bool), exclusive)
        assert 10 < loss[0] < 20


def test_of_exclusive_labels_the_best_one_is_claimed() -> None:
    scores, gold = np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[0, 1], [0, 1]])
    made = make_claims(scores, gold, np.ones_like(gold, dtype=bool), exclusive=True)
    assert made.scores.tolist() == [0.8, 0.6] and made.holds.tolist() == [1.0, 0.0]
    assert made.texts.tolist() == [0, 1]
    # Seven bins of each, and one in the middle that holds half of both.
    assert calibration_error(made) == pytest.approx((7 * 0.2 + 7 * 0.6 + (0.6 - 0.2) / 2) / 15)


def test_risk_and_coverage_by_hand() -> None:
    made = claims([0.9, 0.8, 0.8, 0.4], [1, 1, 0, 0])
    coverage, risk = risk_coverage(made)
    assert coverage == pytest.approx([1 / 4, 3 / 4, 1])  # no threshold lies between equals
    assert risk == pytest.approx([0, 1 / 3, 1 / 2])
    orders = [(0 + 0 + 1 / 3 + 1 / 2) / 4, (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4]
    assert area_under_risk(made) == pytest.approx(np.mean(orders))
    assert [coverage_at(made, right) for right in (0.99, 0.6, 0.5)] == [0.25, 0.75, 1.0]


def test_coverage_counts_to_the_text() -> None:
    made = claims([0.9] * 50 + [0.8] * 50, [1] * 50 + [1] * 49 + [0])
    assert coverage_at(made, 0.99) == 1.0
    assert coverage_at(made, 0.991) == 0.5


@pytest.mark.parametrize("right", [0, 1])
def test_a_single_text(right: int) -> None:
    made = claims([0.7], [right])
    assert calibration_error(made) == pytest.approx(abs(0.7 - right))
    assert area_under_risk(made) == 1 - right
    assert coverage_at(made, 0.99) == right
    point = {"score": pytest.approx(0.7), "holds": pytest.approx(right)}
    assert reliability_bins(made) == [point] * BINS


def test_all_right_and_all_wrong() -> None:
    assert area_under_risk(claims([0.9, 0.5, 0.5], [1, 1, 1])) == 0
    assert coverage_at(claims([0.9, 0.5, 0.5], [1, 1, 1]), 0.99) == 1
    assert coverage_at(claims([0.9, 0.5, 0.5], [0, 0, 0]), 0.99) == 0
    assert calibration_error(claims([1.0] * 4, [1] * 4)) == 0


def test_the_error_is_that_which_was_put_in() -> None:
    scores = np.linspace(0.2, 0.8, 30_000)
    holds = np.random.default_rng(0).random(30_000) < scores + 0.1
    found = calibration_error(claims(scores.tolist(), holds.astype(int).tolist()))
    assert found == pytest.approx(0.1, abs=0.01)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1), st.data())
def test_the_order_of_texts_is_nothing(rows: list[tuple[float, bool]], data: Any) -> None:
    other = data.draw(st.permutations(rows))
    measured = []
    for texts in (rows, other):
        made = claims([score for score, _ in texts], [int(holds) for _, holds in texts])
        measured.append(
            (
                calibration_error(made),
                area_under_risk(made),
                coverage_at(made, 0.8),
                str(reliability_bins(made)),
            )
        )
    assert measured[0] == measured[1]
    assert all(0 <= value <= 1 for value in measured[0][:3])


def test_scores_that_mean_what_they_say_have_the_error_of_luck() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(0.5, 1, 600)
    drawn = [claims(scores.tolist(), (random.random(600) < scores).tolist()) for _ in range(300)]
    mean = np.mean([calibration_error(one) for one in drawn])
    assert error_of_luck(drawn[0]) == pytest.approx(mean, rel=0.05)
