"""When n-grams may answer alone: the bound, the temperature, too few texts."""

import numpy as np
import pytest

from spacy_bert_zh.compress.fitting import GRID, fit_cascade
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.cascade import margins


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two halves, of which the second is the surer one."""
    rng = np.random.default_rng(seed)
    linear = rng.normal(size=(count, 3)).astype("float32") * 2
    return linear, linear + rng.normal(size=(count, 3)).astype("float32")


def test_the_bound_holds_in_most_draws() -> None:
    linear, full = drawn(100_000, 1)
    differs, broken = linear.argmax(1) != full.argmax(1), 0
    for seed in range(2, 32):
        cascade = fit_cascade(*drawn(1_500, seed), agree=0.98)
        assert cascade and (margins(linear) >= cascade.margin).mean() > 0.1
        broken += (differs & (margins(linear) >= cascade.margin)).mean() > 0.02
    assert broken <= 4


def test_less_is_asked_where_more_may_differ() -> None:
    parts = drawn(5_000, 3)
    strict, loose = fit_cascade(*parts, agree=0.995), fit_cascade(*parts, agree=0.95)
    assert strict and loose and strict.margin > loose.margin > GRID[-1]


def test_scores_come_near_the_ensemble() -> None:
    linear, _ = drawn(2_000, 4)
    cascade = fit_cascade(linear, linear * 4)
    assert cascade and cascade.temperature == pytest.approx(0.25, rel=0.02)


def test_too_few_texts_are_told_how_many() -> None:
    linear, full = drawn(597, 5)
    with pytest.raises(BertZhError, match=r"597 texts are too few .* give 598 or more"):
        fit_cascade(linear, full)
    linear, _ = drawn(598, 5)
    assert fit_cascade(linear, linear)


def test_never_sure_is_none() -> None:
    linear, _ = drawn(600, 6)
    assert fit_cascade(linear, -linear) is None
    with pytest.raises(BertZhError, match="agree = 1 must lie between"):
        fit_cascade(linear, linear, agree=1.0)
