"""Masking: what is chosen and what takes its place, for any text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.pretrain.masking import SPECIAL, Replacements, choose, corrupt

MASK, FIRST, LAST = 4, 5, 50


@st.composite
def rows(draw):
    """Word numbers of a row: words of 1 to 5 pieces, special pieces here and there."""
    words = []
    for number in range(draw(st.integers(1, 60))):
        if draw(st.integers(0, 9)) == 0:
            words.append(SPECIAL)
        words.extend([number] * draw(st.integers(1, 5)))
    return np.asarray(words)


seeds = st.integers(0, 2**32 - 1)
rates = st.floats(0.05, 0.9)
ngrams = st.sampled_from([(1.0,), (0.4, 0.3, 0.2, 0.1), (0.0, 1.0)])


@given(rows(), rates, seeds, ngrams)
def test_words_are_chosen_whole_or_not_at_all(words, rate, seed, ngrams):
    chosen = choose(words, rate, np.random.default_rng(seed), ngrams)
    for number in set(words[words != SPECIAL].tolist()):
        assert len(set(chosen[words == number].tolist())) == 1


@given(rows(), rates, seeds, ngrams)
def test_special_pieces_are_never_chosen(words, rate, seed, ngrams):
    chosen = choose(words, rate, np.random.default_rng(seed), ngrams)
    assert not chosen[words == SPECIAL].any()


@given(rows(), rates, seeds, ngrams)
def test_the_rate_is_met_but_for_less_than_a_word(words, rate, seed, ngrams):
    chosen = choose(words, rate, np.random.default_rng(seed), ngrams)
    text = int((words != SPECIAL).sum())
    budget = round(rate * text)
    shortest = min(np.bincount(words[words != SPECIAL])[np.unique(words[words != SPECIAL])])
    assert chosen.sum() >= 1
    assert chosen.sum() <= max(budget, shortest)
    assert chosen.sum() > min(budget, text) - 5


@given(rows(), rates, seeds)
def test_the_same_seed_chooses_the_same(words, rate, seed):
    once, again = (choose(words, rate, np.random.default_rng(seed)) for _ in range(2))
    assert (once == again).all()


def test_every_word_has_its_turn():
    words = np.repeat(np.arange(20), 2)
    counts = sum(
        choose(words, 0.15, np.random.default_rng(seed)).astype(int) for seed in range(2000)
    )
    shares = counts / 2000
    assert shares.min() > 0.12
    assert shares.max() < 0.18


def test_nothing_is_chosen_of_nothing():
    words = np.asarray([SPECIAL, SPECIAL])
    assert not choose(words, 0.15, np.random.default_rng(0)).any()
    assert not choose(np.asarray([0, 1, 2]), 0.0, np.random.default_rng(0)).any()


def test_ngrams_choose_neighbours():
    words = np.arange(400)
    alone = choose(words, 0.15, np.random.default_rng(0))
    grams = choose(words, 0.15, np.random.default_rng(0), (0, 0, 0, 1.0))

    def neighbours(chosen):
        return int((chosen[1:] & chosen[:-1]).sum())

    assert neighbours(grams) > 2 * neighbours(alone)


def test_ngrams_end_at_special_pieces():
    words = np.asarray([0, 1, SPECIAL, 2, 3, SPECIAL, 4, 5])
    drawn = [
        frozenset(words[choose(words, 0.34, np.random.default_rng(seed), (0.0, 1.0))].tolist())
        for seed in range(1000)
    ]
    # Drawn together, or by chance one after the other.
    assert drawn.count(frozenset((0, 1))) > 2 * drawn.count(frozenset((1, 2)))


@pytest.fixture
def replacements():
    return Replacements(MASK, np.arange(FIRST, LAST))


@given(st.lists(st.integers(FIRST, LAST - 1), min_size=1, max_size=200), seeds)
def test_only_chosen_pieces_change(ids, seed):
    ids = np.asarray(ids)
    rng = np.random.default_rng(seed)
    chosen = rng.random(len(ids)) < 0.3
    before = ids.copy()
    corrupted = corrupt(ids, chosen, Replacements(MASK, np.arange(FIRST, LAST)), rng)
    assert (corrupted[~chosen] == ids[~chosen]).all()
    assert (ids == before).all()
    assert set(corrupted[chosen].tolist()) <= {MASK, *range(FIRST, LAST)}


def test_eighty_per_cent_mask_ten_random_ten_kept(replacements):
    ids = np.full(100_000, FIRST)
    rng = np.random.default_rng(0)
    corrupted = corrupt(ids, np.ones(len(ids), bool), replacements, rng)
    assert (corrupted == MASK).mean() == pytest.approx(0.8, abs=0.01)
    others = LAST - FIRST
    kept = 0.1 + 0.1 / others
    assert (corrupted == FIRST).mean() == pytest.approx(kept, abs=0.01)


def test_similar_pieces_take_the_place_of_the_mask():
    spans = np.zeros((LAST, 2), dtype=np.int64)
    spans[10] = (0, 2)
    similar = Replacements(MASK, np.arange(FIRST, LAST), spans, np.asarray([20, 21]))
    ids = np.repeat([10, 11], 10_000)
    corrupted = corrupt(ids, np.ones(len(ids), bool), similar, np.random.default_rng(0))
    assert MASK not in corrupted
    known, unknown = corrupted[:10_000], corrupted[10_000:]
    assert np.isin(known, [20, 21]).mean() == pytest.approx(0.8, abs=0.02)
    assert len(np.unique(unknown)) > 20  # no similar one known: any piece


def test_of_nothing_nothing_is_chosen() -> None:
    assert not len(choose(np.zeros(0, dtype=np.int64), 0.15, np.random.default_rng(0)))
