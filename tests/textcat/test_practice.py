"""Learning by two dropouts and against noise: gradients, lengths, and what else must not change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.practice import Practice, disagreement, perturbed
from tests.conftest import initialized, make_examples, pipe_of, teach
from tests.textcat.test_apart import build

Make = Callable[..., Language]


@pytest.fixture
def ensemble(make_pipeline: Make, still: Path, factory: str) -> Language:
    """Without dropout, its halves learning apart, and somewhat taught."""
    nlp = build(make_pipeline, still, factory, factory)
    teach(nlp, make_examples(nlp, 16), epochs=1)
    return nlp


def gradients(nlp: Language, practice: Practice) -> dict[str, np.ndarray]:
    """What a batch teaches each part of an ensemble."""
    pipe = pipe_of(nlp)
    pipe.practice = practice
    pipe.update(make_examples(nlp, 12, seed=3))
    _, head, linear = pipe.model.layers
    network = pipe.model.get_ref("backbone").shims[0].network
    found = {
        "head": head.get_grad("W").copy(),
        "bias": head.get_grad("b").copy(),
        "ngrams": linear.get_grad("W").copy(),
        "words": network.bert.embeddings.word_embeddings.weight.grad.numpy().copy(),
    }
    for layer in (head, linear):
        for name in layer.param_names:
            if layer.has_grad(name):
                layer.set_grad(name, layer.get_grad(name) * 0)
    network.zero_grad()
    return found


def assert_multiples(found: Any, plain: Any, **times: float) -> None:
    for name, factor in times.items():
        scale = np.abs(plain[name]).max()
        np.testing.assert_allclose(found[name], factor * plain[name], atol=2e-3 * scale)


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_gradient_of_disagreement(exclusive: bool) -> None:
    logits = torch.randn(8, 3, generator=torch.manual_seed(0), requires_grad=True)
    p = logits.softmax(1) if exclusive else logits.sigmoid()
    full = p if exclusive else torch.stack([p, 1 - p])
    q = torch.cat([full[..., 4:, :], full[..., :4, :]], dim=-2)
    # Liang et al. 2021, eq. 2, averaged over the four documents.
    expected = 0.7 * (full * (full / q).log()).sum() / 2 / 4
    expected.backward()
    loss, gradient = disagreement(p.detach().numpy(), 0.7, exclusive, np)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), atol=1e-6)


def test_without_dropout_nothing_disagrees(ensemble: Language) -> None:
    plain = gradients(ensemble, Practice())
    assert_multiples(gradients(ensemble, Practice(r_drop=4.0)), plain, words=1, head=1, ngrams=1)


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb"])
def test_near_by_the_network_learns_the_same_once_more(ensemble: Language, method: Any) -> None:
    plain = gradients(ensemble, Practice())
    found = gradients(ensemble, Practice(adversarial=method, epsilon=1e-6))
    assert_multiples(found, plain, words=2, head=2, ngrams=1)


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb"])
def test_farther_away_it_learns_something_else(ensemble: Language, method: Any) -> None:
    plain = gradients(ensemble, Practice())
    found = gradients(ensemble, Practice(adversarial=method, epsilon=0.5))
    assert np.abs(found["words"] - 2 * plain["words"]).max() > 0.05 * np.abs(plain["words"]).max()
    assert_multiples(found, plain, ngrams=1)


def test_noise_makes_it_worse_and_is_as_long_as_said(ensemble: Language) -> None:
    pipe, examples = pipe_of(ensemble), make_examples(ensemble, 12, seed=3)
    docs = [example.predicted for example in examples]

    def loss() -> float:
        answers, backprop = pipe._ask(docs, True)
        value, gradient = pipe.get_loss(examples, answers[0])
        backprop([gradient])
        return float(value)

    with perturbed(pipe.model, "pgd") as noise:
        noise.searches = True
        before, losses = loss(), []
        for _ in range(4):
            noise.ascend(0.05, 0.12)
            losses.append(loss())
    assert before < losses[0] < losses[1] < losses[3]
    lengths = np.concatenate(noise._lengths)
    starts = np.cumsum(lengths) - lengths
    squares = np.add.reduceat((np.concatenate(noise.noise) ** 2).sum(axis=1), starts)
    norms = np.concatenate(noise._norms)
    np.testing.assert_allclose(np.sqrt(squares), 0.12 * norms, rtol=1e-4)
    shim = pipe.model.get_ref("backbone").shims[0]
    assert shim.perturbation is None
    assert shim.network.bert.embeddings.word_embeddings.weight.grad is None


@pytest.mark.parametrize(
    "settings", [{"r_drop": 1.0}, {"adversarial": "freelb"}, {"r_drop": 1.0, "adversarial": "fgm"}]
)
def test_it_learns_by_each_of_them(make_pipeline: Make, factory: str, settings: Any) -> None:
    nlp = make_pipeline(factory, settings, pooling="mean")
    teach(nlp, make_examples(nlp, 64))
    assert nlp.evaluate(make_examples(nlp, 40, seed=5))["cats_score"] > 0.9
    assert pipe_of(nlp.from_bytes(nlp.to_bytes())).practice == Practice(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"r_drop": -1.0}, r"r_drop = -1\.0 must be 0 or more"),
        ({"adversarial": "fgsm"}, r"adversarial = 'fgsm' must be 'fgm', 'pgd', 'freelb' or null"),
        ({"adversarial_epsilon": 0.0}, r"adversarial_epsilon = 0\.0 must be in \(0, 1\]"),
    ],
)
def test_what_is_refused(make_pipeline: Make, settings: Any, message: str) -> None:
    with pytest.raises((BertZhError, ValueError), match=message):
        make_pipeline(settings=settings)


def test_an_adversary_needs_embeddings() -> None:
    nlp = spacy.blank("zh")
    model = {
        "@architectures": "spacy_bert_zh.NgramTextCat.v1",
        "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 64},
    }
    nlp.add_pipe("bert_textcat", config={"model": model, "adversarial": "fgm"})
    pipe = initialized(nlp)
    with pytest.raises(BertZhError, match="adversarial = 'fgm' needs one backbone of its own"):
        pipe.update(make_examples(nlp, 2))
