"""Tests of two classifiers: values of textbooks, and simulations of what they promise."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from spacy_bert_zh.evaluate.paired import (
    holm,
    mcnemar,
    mean_gain,
    most_lost,
    smallest_difference,
    texts_needed,
)


def test_mcnemar_is_the_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == mcnemar(6, 0) == 2 / 2**6
    assert mcnemar(4, 4) == pytest.approx(1.0)
    assert mcnemar(12, 30) == pytest.approx(2 * binom.cdf(12, 42, 0.5))


def test_holm_by_hand() -> None:
    # The example of Holm's procedure with four hypotheses.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("share", "texts"), [(0.1, 1000), (0.03, 5000), (0.3, 400)])
def test_the_smallest_difference_is_shown_four_times_out_of_five(share: float, texts: int) -> None:
    found = smallest_difference(round(share * texts), texts)
    random = np.random.default_rng(0)
    chances = [(share - found) / 2, (share + found) / 2, 1 - share]
    drawn = random.multinomial(texts, chances, size=2000)
    shown = np.mean([mcnemar(lost, gained) < 0.05 for lost, gained, _ in drawn])
    assert shown == pytest.approx(0.8, abs=0.04)  # the exact test is a little careful


def test_the_smallest_difference_where_hardly_a_text_differs() -> None:
    for differing in (0, 1, 5):
        assert smallest_difference(differing, 1000) == pytest.approx(7.84 / 1000, rel=0.01)
    assert smallest_difference(0, 3) == 1.0
    assert smallest_difference(1, 1) == 1.0


@pytest.mark.parametrize(("lost", "gained"), [(0.02, 0.02), (0.003, 0.001), (0.05, 0.01)])
def test_what_is_lost_at_most_is_that_19_times_out_of_20(lost: float, gained: float) -> None:
    random = np.random.default_rng(1)
    drawn = random.multinomial(1000, [lost, gained, 1 - lost - gained], size=600)
    held = np.mean([most_lost(b, c, 1000) >= lost - gained for b, c, _ in drawn])
    assert 0.93 <= held <= 0.99


def test_nothing_lost_on_few_texts_tells_little() -> None:
    z = 1.6449
    for texts in (10, 100, 1000):
        assert most_lost(0, 0, texts) == pytest.approx(z * z / (texts + z * z), rel=1e-3)
    assert most_lost(5, 0, 5) == 1.0
    assert most_lost(0, 5, 5) < 0.2


def test_as_many_texts_as_are_said_suffice() -> None:
    margin = 0.005
    needed = texts_needed(0, 100, margin)
    assert most_lost(0, 0, needed) <= margin < most_lost(0, 0, needed - 2)
    needed = texts_needed(10, 1000, margin)
    random = np.random.default_rng(2)
    drawn = random.multinomial(needed, [0.005, 0.005, 0.99], size=500)
    shown = np.mean([most_lost(b, c, needed) <= margin for b, c, _ in drawn])
    assert shown == pytest.approx(0.8, abs=0.06)


def test_19_of_20_intervals_over_texts_and_seeds_hold_the_gain() -> None:
    """Texts of different hardness, trainings of different luck, the second config better by 2 %."""
    random = np.random.default_rng(0)
    held, texts = 0, 2_000
    gain = float(np.diff(norm.cdf(np.array([1.0, 1.08]) / np.sqrt(2 + 0.05**2)))[0])
    for _ in range(400):
        hard = random.normal(size=texts)

        def train(skill: float, hard: np.ndarray = hard) -> np.ndarray:
            luck = random.normal(scale=0.05, size=(3, 1))
            return np.asarray(skill + luck > hard + random.normal(size=(3, texts)))

        first, second = train(1.0), train(1.08)
        variance = float((second.mean(0) - first.mean(0)).var()) / texts
        low, high = mean_gain(first.mean(1), second.mean(1), variance)[1]
        held += low <= gain <= high
    assert 0.93 <= held / 400 <= 0.99


def test_an_interval_of_one_seed_is_that_of_the_texts() -> None:
    gain, (low, high) = mean_gain(np.array([0.8]), np.array([0.9]), 0.03**2)
    assert gain == pytest.approx(0.1)
    assert high - gain == pytest.approx(gain - low) == pytest.approx(1.96 * 0.03, rel=1e-3)
    assert mean_gain(np.array([0.8, 0.8]), np.array([0.8]), 0.0) == (0.0, [0.0, 0.0])
    low, high = mean_gain(np.array([0.8, 0.8]), np.array([0.8, 0.9]), 0.0)[1]
    assert high - low == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)  # one degree of freedom
