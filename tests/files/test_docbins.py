"""Converted texts are read as spaCy reads them, whatever stands beside them."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus

from spacy_bert_zh.files.docbins import ShardCorpus, read_docbin

NLP = spacy.blank("zh")
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def tell(docs: Any) -> list[Any]:
    return [(doc.text, doc.cats, doc.user_data, len(doc.spans)) for doc in docs]


@given(st.lists(st.tuples(st.text("好吃 ab"), st.dictionaries(st.text(), VALUES)), max_size=4))
@settings(deadline=None)
def test_as_docbin_reads_them(rows: list[tuple[str, dict[str, Any]]]) -> None:
    shard = DocBin(store_user_data=True)
    for text, data in rows:
        doc = NLP.make_doc(text)
        doc.cats, doc.user_data = {"好": float(len(text))}, data
        shard.add(doc)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.spacy"
        shard.to_disk(path)
        wanted = tell(DocBin().from_disk(path).get_docs(NLP.vocab))
        assert tell(read_docbin(path, NLP.vocab)) == wanted


def test_arrays_and_spans(tmp_path: Path) -> None:
    doc = NLP.make_doc("好吃不贵")
    doc.user_data["vector"] = np.arange(6, dtype="<f4").reshape(2, 3)
    doc.spans["food"] = [doc[:2]]
    DocBin(docs=[doc, NLP.make_doc("")], store_user_data=True).to_disk(tmp_path / "0.spacy")
    first, second = read_docbin(tmp_path / "0.spacy", NLP.vocab)
    np.testing.assert_array_equal(first.user_data["vector"], doc.user_data["vector"])
    assert first.spans["food"][0].text == "好吃" and not len(second)


def test_texts_of_which_nothing_is_told(tmp_path: Path) -> None:
    DocBin(docs=[NLP.make_doc("好"), NLP.make_doc("坏")]).to_disk(tmp_path / "0.spacy")
    assert [(doc.text, doc.user_data) for doc in read_docbin(tmp_path / "0.spacy", NLP.vocab)] == [
        ("好", {}),
        ("坏", {}),
    ]


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
def test_a_corpus_is_spacys_but_for_its_limit(limit: int, tmp_path: Path) -> None:
    docs: list[Doc] = [NLP.make_doc(text) for text in ("好", "", "坏", "贵")]
    for number in range(2):
        DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / f"{number}.spacy")
    texts = [example.reference.text for example in Corpus(tmp_path)(NLP)]
    found = [example.reference.text for example in ShardCorpus(tmp_path, limit=limit)(NLP)]
    assert texts == ["好", "坏", "贵"] * 2
    assert found == texts[: limit or None]
