"""Pipelines in other forms: what comes out works and says the same; what can't be is said."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from transformers import AutoModel, AutoTokenizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.flow import export
from spacy_bert_zh.loading.pipeline import take_apart
from tests.conftest import close, initialized, make_docs, run_cli

TEXT = "味道不错，推荐"


def test_a_pipeline_of_the_same_engine_is_the_same(trained: Path, tmp_path: Path) -> None:
    again = export(trained, tmp_path / "again", "torch")
    assert spacy.load(again)(TEXT).cats == spacy.load(trained)(TEXT).cats
    assert (again / "tokenizer").exists()


def test_its_bert_is_a_checkpoint_of_transformers(trained: Path, tmp_path: Path) -> None:
    done = run_cli("export", trained, tmp_path / "bert", "--format", "checkpoint")
    assert done.stdout.strip().endswith(str(tmp_path / "bert"))
    bert = AutoModel.from_pretrained(tmp_path / "bert").eval()
    pieces = AutoTokenizer.from_pretrained(tmp_path / "bert")(TEXT, return_tensors="pt")
    with torch.no_grad():
        hidden = bert(**pieces).last_hidden_state[0].mean(0)
    backbone = spacy.load(trained).get_pipe("bert_textcat").model.get_ref("backbone")
    assert backbone.shims[0].settings.pooling == "mean"
    np.testing.assert_allclose(backbone.predict(make_docs([TEXT]))[0], hidden, atol=1e-5)
    config = json.loads((tmp_path / "bert" / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["BertModel"]


KILLED = """
import os, sys
from spacy_bert_zh.checkpoint import saving
from spacy_bert_zh.export.flow import export

saving.write_tokenizer = lambda *arguments: os._exit(9)
export(*sys.argv[1:], "checkpoint")
"""


def test_the_next_export_sweeps_what_a_killed_one_left(trained: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(trained), str(tmp_path / "bert")])
    assert done.returncode == 9 and any("part" in path.name for path in tmp_path.iterdir())
    export(trained, tmp_path / "bert", "checkpoint")
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]


def test_what_cannot_be_exported_is_said(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match="'pickle' is not known: take one of torch, tensorflow"):
        export(trained, tmp_path / "out", "pickle")
    nlp = spacy.blank("zh")
    nlp.add_pipe("textcat")
    nlp.get_pipe("textcat").add_label("a")
    nlp.get_pipe("textcat").add_label("b")
    nlp.initialize()
    nlp.to_disk(tmp_path / "stock")
    with pytest.raises(BertZhError, match="'textcat' has no BERT of its own"):
        export(tmp_path / "stock", tmp_path / "out", "checkpoint")
    done = run_cli("export", tmp_path / "none", tmp_path / "out", "-f", "torch", check=False)
    assert done.returncode == 1
    assert "Can't load the pipeline" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_export_never_replaces_what_it_is_made_from(trained: Path) -> None:
    for place in (trained, trained.parent, trained / "onnx"):
        with pytest.raises(BertZhError, match="input"):
            export(trained, place, "torch")
    assert spacy.load(trained)(TEXT).cats


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
from spacy_bert_zh.cli import app
app()
"""


@pytest.mark.parametrize("format", ["savedmodel", "keras"])
def test_without_tensorflow_its_extra_is_named(format: str, trained: Path, tmp_path: Path) -> None:
    words = ["export", trained, tmp_path / "out", "--format", format]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "needs the package 'tensorflow'" in done.stderr and "[tensorflow]" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_parts_compute_what_the_whole_does(checkpoint: Path) -> None:
    """An ensemble by hand: vectors, head and n-grams."""
    nlp = spacy.blank("zh")
    model = {
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v1",
        "backbone": {
            "@architectures": "spacy_bert_zh.TorchBackbone.v1",
            "name": str(checkpoint),
            "max_length": 64,
            "stride": 8,
        },
        "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096},
    }
    nlp.add_pipe("bert_textcat", config={"model": model})
    pipe = initialized(nlp)
    rng = np.random.default_rng(0)
    for part in (pipe.model.get_ref("output_layer"), pipe.model.layers[2]):
        part.set_param("W", rng.normal(size=part.get_param("W").shape).astype("float32") / 50)
    parts = take_apart(pipe)
    assert parts.labels == ["a", "b", "c"]
    assert parts.ngrams is not None
    from spacy_bert_zh.textcat import ngram_features

    vector = pipe.model.get_ref("backbone").predict(make_docs([TEXT]))[0]
    _, rows, weights = ngram_features([TEXT], parts.ngrams.ngram_size, parts.ngrams.length)
    logits = parts.weights @ vector + parts.bias + weights @ parts.ngrams.weights[rows]
    scores = np.exp(logits) / np.exp(logits).sum()
    assert nlp(TEXT).cats == close(dict(zip(parts.labels, scores.tolist(), strict=True)))
