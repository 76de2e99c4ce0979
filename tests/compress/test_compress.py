"""The command: what it writes, and what it refuses."""

import json
from pathlib import Path

import pytest
from spacy.tokens import DocBin

from spacy_bert_zh.compress import compress
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import load_pipeline
from tests.conftest import make_examples, pipe_of
from tests.textcat.cats import Make
from tests.textcat.test_cascade import ensemble


def test_a_pipeline_gets_a_cascade(make_pipeline: Make, tmp_path: Path) -> None:
    nlp = ensemble(make_pipeline)
    nlp.to_disk(tmp_path / "nlp")
    dev = tmp_path / "dev.spacy"
    DocBin(docs=[example.reference for example in make_examples(nlp, 120, 9)]).to_disk(dev)
    with pytest.raises(BertZhError, match=r"120 texts are too few .* give 598 or more"):
        compress(tmp_path / "nlp", tmp_path / "out", dev)
    assert not (tmp_path / "out").exists()
    found = compress(tmp_path / "nlp", tmp_path / "out", dev, agree=0.9, loss=1.0)
    assert found["reach_network"] < 1 and found["agreement"] >= 0.9
    saved = json.loads((tmp_path / "out" / "meta.json").read_text("utf-8"))["compress"]
    assert saved == pytest.approx(found)
    assert pipe_of(load_pipeline(tmp_path / "out")).cascade
    assert found == compress(tmp_path / "out", tmp_path / "again", dev, agree=0.9, loss=1.0)


def test_without_ngrams_it_says_so(trained: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match="no n-grams stand beside its BERT"):
        compress(trained, tmp_path / "out", corpus / "dev")
