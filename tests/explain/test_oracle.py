"""Attributions beside Captum's, which computes them on the plain network of transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from spacy_bert_zh.explain import explain
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.masked import Masked
from spacy_bert_zh.textcat import plain_weights
from tests.conftest import TEXTS, pipe_of
from tests.explain.conftest import as_onnx

SHORT = [text for text in TEXTS if 2 < len(text) < 14]
"""Of one window."""


@pytest.mark.parametrize("text", [*SHORT[:4], "老板服务很差"])
def test_integrated_gradients_are_those_of_captum(text: str, still: Path, trained_one: Any) -> None:
    captum = pytest.importorskip("captum.attr")
    from transformers import BertModel

    nlp = trained_one("BertTextCat.v2")
    (one,) = explain(nlp, [text])
    pipe = pipe_of(nlp)
    (shim,) = pipe.model.get_ref("backbone").shims
    weights, _ = plain_weights(pipe.model.get_ref("output_layer"))
    direction = torch.from_numpy(weights[list(pipe.labels).index(one.shares[0].label)])
    plain = BertModel.from_pretrained(still, attn_implementation="eager").eval()
    learnt = {name: torch.from_numpy(row) for name, row in shim.extract_weights().items()}
    plain.load_state_dict(learnt, strict=False)
    tokenizer = shim.encoder.tokenizer
    encoding = tokenizer.encode(text, add_special_tokens=False)
    cls, sep, mask = map(tokenizer.token_to_id, ("[CLS]", "[SEP]", "[MASK]"))
    ids = torch.tensor([[cls, *encoding.ids, sep]])
    blank = torch.tensor([[cls, *[mask] * len(encoding.ids), sep]])

    def logit(embedded: torch.Tensor) -> torch.Tensor:
        return plain.encoder(embedded).last_hidden_state.mean(1) @ direction

    oracle = captum.IntegratedGradients(logit)
    found, missed = oracle.attribute(
        plain.embeddings(ids).detach(),
        plain.embeddings(blank).detach(),
        n_steps=64,
        return_convergence_delta=True,
    )
    assert float(missed.abs().max()) < 1e-3
    pieces = found.sum(2)[0, 1:-1].numpy()
    expected = np.zeros(len(text))
    for (start, end), worth in zip(encoding.offsets, pieces.tolist(), strict=True):
        expected[start:end] += worth / (end - start)
    ours = np.asarray(one.shares[0].network_characters)
    assert one.method == "gradients"
    assert spearmanr(ours, expected).statistic >= 0.99
    assert ours == pytest.approx(expected, abs=1e-2 * np.abs(expected).max())


@pytest.mark.parametrize("text", ["老板服务很差", "味道好"])
def test_hidden_pieces_are_worth_what_a_constrained_regression_says(
    text: str, trained_one: Any, tmp_path: Path
) -> None:
    """On the sets of one piece and of all but one, with the sum as given."""
    pytest.importorskip("onnx")
    nlp = as_onnx(trained_one("BertTextCat.v2"), tmp_path)
    (one,) = explain(nlp, [text])
    classifier = Classifier(nlp)
    masked = Masked(classifier, classifier.shims[0], text)
    count = masked.count
    sets = np.concatenate([np.eye(count), 1 - np.eye(count)])
    direction = classifier.weights[classifier.row(one.shares[0].label)].astype(np.float64)
    said = masked.vectors([[], *map(np.flatnonzero, sets)]) @ direction
    change, said = one.shares[0].network, said[1:] - said[0]
    # min |sets @ x - said|, sum(x) = change, by its Lagrangian
    system = np.block([[sets.T @ sets, np.ones((count, 1))], [np.ones((1, count)), 0]])
    (*worth, _) = np.linalg.solve(system, [*(sets.T @ said), change])
    expected = masked.spread(np.asarray([worth]), len(text))[0]
    assert count > 2 and one.shares[0].network_characters == pytest.approx(expected, abs=1e-6)
