"""Tests of two classifiers: values of textbooks, and simulations of what they promise."""

import numpy as np
import pytest
from scipy.stats import binom

from spacy_bert_zh.evaluate.paired import (
    holm,
    mcnemar,
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
