"""`as_vector`: `doc.vector` and `doc.similarity` by the BERT of a classifier."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import find_vectors
from spacy_bert_zh.textcat.cascade import Cascade
from tests.conftest import initialized, pipe_of

TEXTS = ["米饭好吃吗", "配送太慢", "", "牛肉面不错"]
LINEAR = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 1024}


def test_vectors_are_those_of_the_backbone(
    make_pipeline: Callable[..., Language], tmp_path: Path, factory: str
) -> None:
    nlp = make_pipeline(factory)
    initialized(nlp)
    nlp.to_disk(tmp_path / "saved")
    plain, asked = (
        spacy.load(tmp_path / "saved", config={f"components.{factory}.as_vector": said})
        for said in (False, True)
    )
    first, second, empty, _ = asked.pipe(TEXTS)
    expected = find_vectors(asked, pipe_of(asked), TEXTS)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(first.vector, expected[0], atol=1e-5)
    assert first.similarity(second) == pytest.approx(float(expected[0] @ expected[1]), abs=1e-5)
    assert empty.has_vector and empty.vector.shape == first.vector.shape
    assert first.cats == pytest.approx(plain(TEXTS[0]).cats, abs=1e-6)
    assert not plain(TEXTS[0]).has_vector
    assert asked(TEXTS[0])._.bert_vector is not None
    assert plain(TEXTS[0])._.bert_vector is None


def test_those_that_ngrams_answer_alone_have_a_vector(
    make_pipeline: Callable[..., Language], checkpoint: Path
) -> None:
    model = {
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v3",
        "exclusive_classes": True,
        "linear_model": LINEAR,
    }
    nlp = make_pipeline(settings={"as_vector": True})
    backbone = nlp.get_pipe_config("bert_textcat")["model"]["backbone"]
    nlp.remove_pipe("bert_textcat")
    model["backbone"] = backbone
    nlp.add_pipe("bert_textcat", config={"model": model, "as_vector": True})
    initialized(nlp)
    before = [doc.vector for doc in nlp.pipe(TEXTS)]
    pipe_of(nlp).cascade = Cascade(margin=1e-9, temperature=1.0)
    docs = list(nlp.pipe(TEXTS))
    for doc, vector in zip(docs, before, strict=True):
        np.testing.assert_allclose(doc.vector, vector, atol=1e-6)


def test_ngrams_alone_have_none() -> None:
    model = {
        "@architectures": "spacy_bert_zh.NgramTextCat.v1",
        "exclusive_classes": True,
        "linear_model": LINEAR,
    }
    with pytest.raises(BertZhError, match="no BERT of ours"):
        spacy.blank("zh").add_pipe("bert_textcat", config={"model": model, "as_vector": True})
