"""Which training texts an answer comes from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spacy.language import Language
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import explain
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.index import Options, index
from spacy_bert_zh.loading import load_pipeline
from tests.conftest import FACTORIES, make_examples, pipe_of

TEXT = "这家店味道很差"


@pytest.fixture(scope="module", params=FACTORIES)
def folder(
    request: pytest.FixtureRequest, trained_one: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A pipeline that knows its training texts."""
    path = tmp_path_factory.mktemp("indexed")
    nlp = trained_one("BertTextCatEnsemble.v3", request.param)
    nlp.to_disk(path / "pipeline")
    docs = [example.reference for example in make_examples(nlp, 32)]
    DocBin(docs=docs).to_disk(path / "train.spacy")
    index(path / "pipeline", path / "indexed", Options(add=path / "train.spacy"))
    return path / "indexed"


def influences(nlp: Language, texts: list[tuple[str, list[str]]], text: str) -> np.ndarray:
    """Products of the head's gradients on training texts, by autograd, with that of an answer."""
    classifier = Classifier(nlp)
    weights = torch.from_numpy(classifier.weights.copy()).double().requires_grad_()
    bias = torch.from_numpy(classifier.bias.copy()).double().requires_grad_()
    exclusive = pipe_of(nlp).model.get_ref("output_layer").attrs["exclusive_classes"]

    def gradient(text: str, labels: list[str]) -> torch.Tensor:
        vector = torch.from_numpy(classifier.vectors([text])[0].astype(float))
        logits = (
            weights @ vector + bias + torch.from_numpy(classifier.ngram_logits([text], False)[0])
        )
        gold = torch.tensor([float(label in labels) for label in classifier.labels]).double()
        if exclusive:
            loss = -(logits.log_softmax(0) * gold).sum()
        else:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, gold, reduction="sum"
            )
        found = torch.autograd.grad(loss, (weights, bias))
        return torch.cat([part.flatten() for part in found])

    given = np.flatnonzero(classifier.given(classifier.scores([text]))[0])
    answer = gradient(text, [classifier.labels[row] for row in given])
    return np.asarray([float(gradient(*pair) @ answer) for pair in texts])


def test_influence_is_the_product_of_the_heads_gradients(folder: Path) -> None:
    nlp = load_pipeline(folder)
    known = pipe_of(nlp).neighbours
    texts = [(one.text, one.labels) for one in known.entries]
    expected = influences(nlp, texts, TEXT)
    (one,) = explain(nlp, [TEXT], evidence_by="influence")
    found = [near.influence for near in one.evidence]
    assert found == sorted(found, reverse=True)
    best = np.sort(expected)[::-1][: len(found)]
    assert found == pytest.approx(best.tolist(), rel=2e-2, abs=1e-3 * np.abs(expected).max())
    named = [(text, tuple(labels)) for text, labels in texts]
    by_text = dict(zip(named, expected.tolist(), strict=True))
    for near in one.evidence:
        worth = by_text[near.text, near.labels]
        assert near.influence == pytest.approx(worth, rel=2e-2, abs=1e-3 * np.abs(expected).max())


def test_without_an_index_nothing_is_known(trained_one: Any) -> None:
    nlp = trained_one("BertTextCat.v2")
    with pytest.raises(BertZhError, match=r"has no index.*--add corpus/train"):
        explain(nlp, [TEXT], evidence_by="influence")


def test_the_command_says_which_it_shows(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    arguments = ["explain", str(folder), TEXT, "--evidence-by", "influence", "--html", str(page)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "most influence on the answer" in done.output
    assert "influence</th>" in page.read_text("utf-8")
