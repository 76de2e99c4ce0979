"""Committees of pipelines whose labels are a tree."""

from pathlib import Path

import numpy as np
import pytest
import spacy

from spacy_bert_zh.ensemble import ensemble
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import load_pipeline
from tests.conftest import close, lower, pipe_of

TEXTS = ["味道不错，推荐", "这家店太慢，老板服务冷淡", "牛肉面也难吃。", "x"]


@pytest.fixture(scope="module")
def committee(hierarchical: Path, trees: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("committee")
    nlp = spacy.load(hierarchical)
    lower(pipe_of(nlp), "好评")
    nlp.to_disk(folder / "other")
    dev = trees / "corpus" / "dev"
    ensemble([hierarchical, folder / "other"], folder / "both", dev, method="committee")
    return folder / "both"


def test_a_committee_of_trees_is_a_tree(committee: Path) -> None:
    nlp = load_pipeline(committee)
    pipe = pipe_of(nlp)
    assert pipe.tree.parents
    docs = list(nlp.pipe(TEXTS))
    scores = np.asarray([[doc.cats[label] for label in pipe.labels] for doc in docs])
    assert not pipe.tree.violations(scores).any()
    apart = pipe.model.predict([nlp.make_doc(text) for text in TEXTS])
    assert pipe.tree.violations(apart).any()  # or there would have been nothing to see to


@pytest.mark.parametrize("format", ["onnx", "tensorflow"])
def test_it_is_exported(format: str, committee: Path, tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "tensorflow": "tensorflow"}[format])
    made = export(committee, tmp_path / format, format)  # type: ignore[arg-type]
    expected = [doc.cats for doc in load_pipeline(committee).pipe(TEXTS)]
    for doc, cats in zip(load_pipeline(made).pipe(TEXTS), expected, strict=True):
        assert doc.cats == close(cats)
