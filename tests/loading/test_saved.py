"""A pipeline that an earlier version saved loads, and says the same."""

import json
from pathlib import Path

import pytest
import spacy

from spacy_bert_zh.loading import load_pipeline

SAVED = Path(__file__).parent / "saved"  # by version 0.1.0, before the package had rooms


def test_a_pipeline_of_version_0_1_0_says_the_same() -> None:
    scores = json.loads((SAVED / "scores.json").read_text("utf-8"))
    assert len(scores) == 11
    for nlp in (spacy.load(SAVED / "pipeline"), load_pipeline(SAVED / "pipeline")):
        for text, cats in scores.items():
            assert nlp(text).cats == pytest.approx(cats, abs=1e-6)
