"""What is fitted to scores: against oracles, and against what it promises on texts not yet seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.trust.abstention import fewest, find_score
from spacy_bert_zh.trust.novelty import find_novelty
from spacy_bert_zh.trust.options import read_aim
from spacy_bert_zh.trust.scaling import fit_logistic, fit_temperature, logit
from spacy_bert_zh.trust.sets import find_least
from spacy_bert_zh.trust.thresholds import find_thresholds


def draw(texts: int, labels: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are too sure by a factor, and truths that the right ones were drawn for."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(texts, labels)) * 2
    truth = (logits + random.gumbel(size=logits.shape)).argmax(1)
    return softmax(logits * sharpness, axis=1), np.eye(labels, dtype=int)[truth]


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_made_scores_too_sure(sharpness: float) -> None:
    scores, gold = draw(20_000, 5, sharpness, 0)
    assert fit_temperature(scores, gold) == pytest.approx(sharpness, rel=0.05)


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_a_temperature_never_makes_truths_less_likely(seed: int, sharpness: float) -> None:
    scores, gold = draw(60, 4, sharpness, seed)
    cooled = softmax(np.log(scores) / fit_temperature(scores, gold), axis=1)
    before, after = (np.log(s[gold > 0] + 1e-30).mean() for s in (scores, cooled))
    assert after >= before - 1e-3
    assert (cooled.argmax(1) == scores.argmax(1)).all()


def test_scores_of_nought_and_one_are_borne() -> None:
    scores = np.tile([1.0, 0.0], (60, 1))
    gold = np.eye(2, dtype=int)[[0] * 50 + [1] * 10]
    assert np.isfinite(fit_temperature(scores, gold))
    slopes, shifts = fit_logistic(scores, gold, np.ones_like(gold))
    assert np.isfinite([slopes, shifts]).all()
    assert (slopes > 0).all()


def test_slope_and_shift_are_those_of_a_logistic_regression() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(5000, 2)) * 2
    gold = (random.random((5000, 2)) < expit(logits * [0.5, 1.5] + [1.0, -1.0])).astype(int)
    slopes, shifts = fit_logistic(expit(logits), gold, np.ones_like(gold))
    for column in (0, 1):
        oracle = LogisticRegression(C=np.inf).fit(logits[:, [column]], gold[:, column])
        assert slopes[column] == pytest.approx(oracle.coef_[0, 0], rel=0.02)
        assert shifts[column] == pytest.approx(oracle.intercept_[0], abs=0.02)


def test_labels_with_few_texts_share_slope_and_shift() -> None:
    random = np.random.default_rng(1)
    scores = random.random((400, 3))
    gold = (random.random((400, 3)) < scores * [1.0, 0.01, 0.0]).astype(int)
    slopes, shifts = fit_logistic(scores, gold, np.ones_like(gold))
    assert slopes[1] == slopes[2] != slopes[0]
    assert shifts[1] == shifts[2] != shifts[0]


def test_what_is_not_known_counts_for_nothing() -> None:
    random = np.random.default_rng(2)
    scores = random.random((300, 2))
    gold = (random.random((300, 2)) < scores).astype(int)
    known = np.ones_like(gold)
    known[200:, 0] = 0
    spoilt = np.where(known, gold, 1)
    assert np.array_equal(fit_logistic(scores, gold, known), fit_logistic(scores, spoilt, known))


def test_answers_are_right_as_often_as_promised() -> None:
    """In at most one of twenty draws of a corpus may the promise be broken."""

    def truth_above(score: float) -> float:
        # The confidence is uniform between 1/2 and 1, and says the truth.
        return (1 + score) / 2

    broken, found = 0, []
    for seed in range(200):
        random = np.random.default_rng(seed)
        surest = random.uniform(0.5, 1, 2000)
        correct = random.random(2000) < surest
        try:
            score = find_score(surest, correct, 0.9).score
        except BertZhError:
            continue
        found.append(score)
        broken += truth_above(score) < 0.9
    assert broken <= 17  # 5 % of 200 are 10; 17 are beyond what chance does in 99 % of cases
    assert np.median(found) < 0.9  # and it isn't bought by hardly ever answering


def test_too_few_texts_are_told_how_many_it_takes() -> None:
    assert fewest(0.99) == 299
    with pytest.raises(BertZhError, match=r"takes 299 texts at least.*has 100"):
        find_score(np.ones(100), np.ones(100, dtype=bool), 0.99)
    with pytest.raises(BertZhError, match=r"even the 299 surest of 600 answers.*50\.2%"):
        find_score(np.ones(600), np.arange(600) % 2 == 0, 0.99)


def test_all_right_answers_everything() -> None:
    found = find_score(np.full(500, 0.3), np.ones(500, dtype=bool), 0.99)
    assert (found.answered, found.right) == (1.0, 1.0)
    assert found.score <= 0.3


@pytest.mark.parametrize("coverage", [0.9, 0.95, 0.99])
def test_sets_hold_the_right_label_as_often_as_promised(coverage: float) -> None:
    scores, gold = draw(40_000, 6, 1.5, 3)
    held = []
    for start in range(0, 40_000, 1000):
        own, others = slice(start, start + 500), slice(start + 500, start + 1000)
        least = find_least(scores[own], gold[own], coverage)
        held.append((scores[others][gold[others] > 0] >= least).mean())
    assert np.mean(held) == pytest.approx(coverage, abs=0.005)


def test_sets_of_too_few_texts_are_refused() -> None:
    scores, gold = draw(18, 3, 1, 0)
    with pytest.raises(BertZhError, match=r"takes 19 texts at least.*has 18"):
        find_least(scores, gold, 0.95)
    scores, gold = draw(19, 3, 1, 0)
    lowest = scores[gold > 0].min()
    assert lowest * (1 - 1e-5) < find_least(scores, gold, 0.95) < lowest


@pytest.mark.parametrize("aim", ["f1", "precision=0.9", "recall=0.9"])
def test_thresholds_reach_their_aim(aim: str) -> None:
    random = np.random.default_rng(0)
    gold = (random.random((20_000, 2)) < [0.5, 0.1]).astype(int)
    scores = expit(random.normal(size=gold.shape) + 3 * gold - 2)
    thresholds = find_thresholds(scores, gold, np.ones_like(gold), read_aim(aim))
    given_ = scores >= thresholds
    right = (given_ & (gold > 0)).sum(0)
    precision, recall = right / given_.sum(0), right / gold.sum(0)
    if aim == "f1":
        tried = scores[:, None] >= np.linspace(0.05, 0.95, 91)[:, None]  # (texts, tries, labels)
        hits = (tried & (gold[:, None] > 0)).sum(0)
        best = (2 * hits / (tried.sum(0) + gold.sum(0))).max(0)
        f1 = 2 * right / (given_.sum(0) + gold.sum(0))
        assert f1 == pytest.approx(best, abs=0.005)
    elif aim.startswith("precision"):
        assert precision == pytest.approx([0.9, 0.9], abs=0.01)
    else:
        assert recall == pytest.approx([0.9, 0.9], abs=0.01)


def test_a_label_with_few_texts_stays_near_the_common_threshold() -> None:
    random = np.random.default_rng(0)
    gold = np.c_[random.random(2000) < 0.5, np.arange(2000) < 1].astype(int)
    scores = np.c_[expit(random.normal(size=2000) + 4 * gold[:, 0] - 2), np.full(2000, 0.01)]
    scores[0, 1] = 0.99
    common, rare = find_thresholds(scores, gold, np.ones_like(gold), read_aim("f1"))
    assert abs(logit(rare) - logit(common)) < 1
    absent = find_thresholds(scores, gold * [1, 0], np.ones_like(gold), read_aim("f1"))
    assert absent[1] == pytest.approx(common, abs=0.05)


def test_an_aim_out_of_reach_is_refused() -> None:
    random = np.random.default_rng(0)
    gold = (random.random((500, 1)) < 0.1).astype(int)
    with pytest.raises(BertZhError, match=r"precision=0\.95: no threshold reaches it"):
        find_thresholds(
            np.full((500, 1), 0.5), gold, np.ones_like(gold), read_aim("precision=0.95")
        )
    for text in ("f2", "precision", "recall=1.5", "f1=0.5", "recall=x"):
        with pytest.raises(BertZhError, match=r"take f1, precision=0\.95 or recall=0.9"):
            read_aim(text)


def test_strange_is_what_few_known_texts_are() -> None:
    random = np.random.default_rng(0)
    far, doubts = random.normal(size=4000), random.uniform(0, 0.5, 4000)
    novelty = find_novelty(far, doubts, 0.95)
    fresh = zip(random.normal(size=2000), random.uniform(0, 0.5, 2000), strict=True)
    shares = np.asarray([novelty.share(float(a), float(b)) for a, b in fresh])
    assert (shares > 0.95).mean() == pytest.approx(0.05, abs=0.02)
    assert np.quantile(shares, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.04)
    assert novelty.share(9.0, 0.6) == 1.0
    assert novelty.share(-9.0, 0.0) == 0.0
