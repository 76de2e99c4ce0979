"""The linear model of n-grams: features by hand, any text, learning."""

from collections import Counter

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from thinc.api import Adam

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.hashing import ngram_features
from spacy_bert_zh.textcat.ngrams import (
    build_ngram_linear_v1,
    quantize_table,
    rescale_table,
    table_of,
    weights_of,
)
from tests.conftest import make_rows

LENGTH = 2**40  # so many rows that nothing collides; no table is made here


@given(st.lists(st.text(max_size=12), max_size=4), st.integers(1, 4))
def test_features_are_those_of_each_text_alone(texts: list[str], size: int) -> None:
    owners, rows, weights = ngram_features(texts, size, LENGTH)
    assert (np.diff(owners) >= 0).all()
    for i, text in enumerate(texts):
        low = text.casefold()
        grams = Counter(low[k : k + n] for n in range(1, size + 1) for k in range(len(low) - n + 1))
        mine = owners == i
        assert mine.sum() == len(grams)
        expected = 1 + np.log(sorted(grams.values()))
        expected /= np.linalg.norm(expected) or 1.0
        np.testing.assert_allclose(np.sort(weights[mine]), expected, rtol=1e-5)
        alone = ngram_features([text], size, LENGTH)
        np.testing.assert_array_equal(rows[mine], alone[1])


def test_hash_values_spread_evenly() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(8192))
    _, rows, _ = ngram_features([text], 1, 64)
    assert len(rows) == 64
    _, many, _ = ngram_features([text], 1, 2**18)
    # With 8,192 balls in 262,144 bins 8,065 are hit on average.
    assert 8000 < len(many) < 8130


def test_learns_by_characters_and_grows() -> None:
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc(text) for text in ("味道不错", "味道很差", "", "送餐太慢")]
    truths = np.asarray([[1, 0], [0, 1], [0.5, 0.5], [0, 1]], dtype="float32")
    model = build_ngram_linear_v1(length=4096)
    model.initialize(X=docs, Y=truths)
    optimizer = Adam(0.1)
    for _ in range(50):
        logits, backprop = model.begin_update(docs)
        backprop(model.ops.softmax(logits) - truths)
        model.finish_update(optimizer)
    logits = model.predict(docs)
    assert (logits[[0, 1, 3]].argmax(axis=1) == [0, 1, 1]).all()
    assert not logits[2].any()
    larger = model.attrs["resize_output"](model, 3).predict(docs)
    np.testing.assert_allclose(larger[:, :2], logits)
    assert not larger[:, 2].any()
    assert model.predict([]).shape == (0, 2)
    assert not model.predict([docs[2]]).any()


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(BertZhError, match="ngram_size = 0"):
        build_ngram_linear_v1(ngram_size=0)


def test_a_table_in_eight_bits_says_nearly_the_same() -> None:
    model = build_ngram_linear_v1(length=512)
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc(text) for text, _ in make_rows(40)]
    model.initialize(X=docs, Y=np.zeros((len(docs), 3), dtype="float32"))
    draw = np.random.default_rng(0)
    model.set_param("W", draw.normal(size=(512, 3)).astype("float32") * [1.0, 5.0, 0.0])
    model.set_param("W", model.get_param("W").astype("float32"))
    exact, size = model.predict(docs), len(model.to_bytes())
    quantize_table(model)
    assert len(model.to_bytes()) < size / 3
    small = model.predict(docs)
    assert (abs(small - exact).max(axis=0) <= 0.2 * abs(exact).max(axis=0)).all()
    again = build_ngram_linear_v1(length=512).from_bytes(model.to_bytes())
    np.testing.assert_array_equal(again.predict(docs), small)
    np.testing.assert_array_equal(weights_of(again, np.array([3])), table_of(again).weights[[3]])
    rescale_table(again, np.asarray([2.0, 1.0, 1.0], dtype="float32"))
    np.testing.assert_allclose(again.predict(docs), small * [2, 1, 1], rtol=1e-5)
    # It learns as floats.
    logits, backprop = model.begin_update(docs)
    np.testing.assert_allclose(logits, small, rtol=1e-4, atol=1e-5)
    backprop(np.ones_like(logits))
    model.finish_update(Adam(0.01))
    assert model.get_param("W").dtype == "float32" and not model.has_param("scale")
