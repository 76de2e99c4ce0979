"""How unlike the training texts a text is by its n-grams."""

import math
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat import find_odds, ngram_rows, remember_odds, strangeness
from spacy_bert_zh.textcat.unlike import NGRAM_SIZE, ROWS, count, weigh
from tests.conftest import make_examples, make_rows, pipe_of

NGRAMS = {"@architectures": "spacy_bert_zh.NgramTextCat.v1", "exclusive_classes": True}
LINEAR = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 64}
KNOWN = [text for text, _ in make_rows(300, 1)]


@given(st.lists(st.text(max_size=12), max_size=6))
def test_a_text_weighs_among_others_what_its_ngrams_do(texts: list[str]) -> None:
    """One text at a time, n-gram by n-gram, over the root of their number."""
    odds = np.random.default_rng(0).normal(size=(64, 2))
    found = weigh(odds, texts)
    assert found.shape == (len(texts), 2)
    for text, row in zip(texts, found, strict=True):
        places = [
            place for _, rows in ngram_rows(text.casefold(), NGRAM_SIZE, 64) for place in rows
        ]
        expected = odds[places].sum(axis=0) / math.sqrt(max(len(places), 1))
        assert row == pytest.approx(expected)


@given(st.lists(st.text(max_size=12), max_size=6))
def test_each_ngram_is_counted_in_its_own_text(texts: list[str]) -> None:
    lengths = [len(text.casefold()) for text in texts]
    assert count(texts, NGRAM_SIZE, 64).sum() == sum(max(2 * length - 1, 0) for length in lengths)


def test_known_texts_are_the_measure() -> None:
    odds = find_odds(KNOWN, KNOWN)
    found = weigh(odds, KNOWN)
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-3)
    assert found.std(axis=0) == pytest.approx(1, abs=1e-3)
    assert len(odds) == ROWS


def test_other_chinese_is_strange_and_more_of_the_same_is_not() -> None:
    odds = find_odds(KNOWN, KNOWN)
    same = weigh(odds, [text for text, _ in make_rows(100, 2)]).max(axis=1)
    other = weigh(odds, ["两会代表讨论修改法律草案", "请问怎么安装这个软件", "欧冠决赛今晚打响"])
    assert other.max(axis=1).min() > same.max()


@pytest.mark.parametrize("texts", [[""], ["x"]])
def test_nothing_to_learn_from_is_borne(texts: list[str]) -> None:
    assert np.isfinite(find_odds(texts, texts)).all()


def test_what_is_remembered_is_saved_and_checked(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    pipe = nlp.add_pipe("bert_textcat", config={"model": {**NGRAMS, "linear_model": LINEAR}})
    nlp.initialize(lambda: make_examples(nlp, 20))
    docs = [nlp.make_doc(text) for text in KNOWN[:5]]
    assert strangeness(pipe.model, docs) is None
    remember_odds(pipe.model, find_odds(KNOWN, KNOWN))
    nlp.to_disk(tmp_path)
    again = strangeness(pipe_of(spacy.load(tmp_path)).model, docs)
    assert again == pytest.approx(strangeness(pipe.model, docs))
    for shape in ((8,), (0, 2), (8, 0)):
        pipe.model.set_param("odds", np.zeros(shape, dtype=np.float32))
        nlp.to_disk(tmp_path)
        with pytest.raises(BertZhError, match="odds are no table"):
            spacy.load(tmp_path)
