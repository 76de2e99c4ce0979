"""What a GPU computes is what a CPU computes: run on a machine that has one, with ``-m gpu``."""

import numpy as np
import pytest
import spacy
from spacy.training import Example
from thinc.api import get_current_ops, set_current_ops

pytestmark = pytest.mark.gpu

TEXTS = ["股市大涨，基金走强", "球队赢得冠军", "", "新电影今天上映" * 60]
CATS = [{"财经": 1.0, "体育": 0.0}, {"财经": 0.0, "体育": 1.0}] * 2


@pytest.fixture
def on_gpu():
    """Compute on the GPU for the length of a test."""
    before = get_current_ops()
    spacy.require_gpu(0)
    yield
    set_current_ops(before)


def build(model_dir, architecture):
    nlp = spacy.blank("zh")
    config = {
        "model": {
            "@architectures": f"spacy_bert_zh.{architecture}",
            "backbone": {
                "@architectures": "spacy_bert_zh.TorchBackbone.v1",
                "name": str(model_dir),
                "max_length": 32,
            },
        }
    }
    if "Ensemble" in architecture:
        config["model"]["linear_model"] = {
            "@architectures": "spacy_bert_zh.NgramLinear.v1",
            "length": 1024,
        }
    nlp.add_pipe("bert_textcat", config=config)
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": cats})
        for text, cats in zip(TEXTS, CATS, strict=True)
    ]
    optimizer = nlp.initialize(lambda: examples)
    return nlp, examples, optimizer


def scores(nlp):
    return np.asarray([list(doc.cats.values()) for doc in nlp.pipe(TEXTS)])


@pytest.mark.parametrize(
    "architecture", ["BertTextCat.v2", "BertTextCatEnsemble.v2", "BertTextCatEnsemble.v3"]
)
def test_learns_on_a_gpu_and_answers_the_same_on_a_cpu(on_gpu, checkpoint, architecture):
    nlp, examples, optimizer = build(checkpoint, architecture)
    before = scores(nlp)
    for _ in range(5):
        nlp.update(examples, sgd=optimizer)
    there = scores(nlp)
    assert np.abs(there - before).max() > 1e-3
    stored = nlp.to_bytes()
    spacy.require_cpu()
    other, _, _ = build(checkpoint, architecture)
    other.from_bytes(stored)
    assert np.abs(scores(other) - there).max() < 1e-4
