"""The shared backbone: one transformer of spacy-transformers for the whole pipeline."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import SGD, Adam

from spacy_bert_zh.errors import BertZhError
from tests.conftest import make_examples, make_rows, teach

pytest.importorskip("spacy_transformers", reason="needs requirements-shared.txt")

SHARED = {"@architectures": "spacy_bert_zh.SharedBackbone.v1"}
TEXTS = ["味道不错，推荐", "", "难吃", "这家店太慢，老板服务冷淡"]


def build(checkpoint: Path, **backbone: float) -> Language:
    nlp = spacy.blank("zh")
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 48, "stride": 32}
    nlp.add_pipe("transformer", config={"model": {"name": str(checkpoint), "get_spans": spans}})
    nlp.add_pipe("bert_textcat", config={"model": {"backbone": {**SHARED, **backbone}}})
    return nlp


def transformer_weights(nlp: Language) -> dict[str, np.ndarray]:
    transformer = nlp.get_pipe("transformer").model.transformer  # type: ignore[attr-defined]
    return {k: v.detach().numpy().copy() for k, v in transformer.named_parameters()}


@pytest.fixture
def nlp(checkpoint: Path) -> Language:
    """A pipeline [transformer, bert_textcat] that has learned a little."""
    nlp = build(checkpoint)
    teach(nlp, make_examples(nlp, 64))
    return nlp


def test_learns_together_with_the_transformer(nlp: Language) -> None:
    assert nlp.evaluate(make_examples(nlp, 20, seed=5))["cats_macro_f"] > 0.8


@pytest.mark.parametrize("grad_factor", [0.0, 1.0])
def test_gradient_reaches_the_transformer(grad_factor: float, checkpoint: Path) -> None:
    nlp = build(checkpoint, grad_factor=grad_factor)
    examples = make_examples(nlp, 8)
    nlp.initialize(lambda: examples)
    before = transformer_weights(nlp)
    for _ in range(3):  # the head starts from zeros, and so does its gradient
        nlp.update(examples, sgd=SGD(0.5))
    changed = {k for k, v in transformer_weights(nlp).items() if (v != before[k]).any()}
    assert bool(changed) == bool(grad_factor)
    if grad_factor:
        assert {k.split(".")[0] for k in changed} == {"embeddings", "encoder"}


def test_gradient_of_the_mean(nlp: Language) -> None:
    """Half of a token's weight in a text twice as long; documents without tokens give none."""
    model = nlp.get_pipe("bert_textcat").model.get_ref("backbone")  # type: ignore[attr-defined]
    listener = model.get_ref("listener")
    docs = [nlp.make_doc(text) for text in ("好吃", "", "好吃难吃")]
    transformer = nlp.get_pipe("transformer")
    outputs = transformer.predict(docs)  # type: ignore[attr-defined]
    received: list[list] = []
    listener.receive(listener.get_batch_id(docs), outputs.doc_data, lambda dX: received.append(dX))
    vectors, backprop = model.begin_update(docs)
    assert vectors.shape == (3, 16)
    assert not vectors[1].any()
    backprop(np.ones_like(vectors))
    ((short, long),) = received
    np.testing.assert_allclose(
        short.model_output.last_hidden_state.sum(), long.model_output.last_hidden_state.sum(), 1e-5
    )


def test_each_text_as_if_alone(nlp: Language) -> None:
    for doc in nlp.pipe(TEXTS):
        assert doc.cats == {k: pytest.approx(v, abs=1e-5) for k, v in nlp(doc.text).cats.items()}
    assert [doc.cats for doc in nlp.pipe(["", ""])] == [nlp("").cats] * 2


def test_empty_documents_in_training(nlp: Language) -> None:
    cats = {"cats": {"neg": 1.0, "pos": 0.0}}
    empty = Example.from_dict(nlp.make_doc(""), cats)
    for batch in ([empty], [empty, *make_examples(nlp, 2)]):
        losses = nlp.update(batch, sgd=Adam(0.01))
        assert np.isfinite(losses["bert_textcat"])


def test_saved_and_loaded(nlp: Language, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for doc in nlp.pipe(TEXTS):
        assert loaded(doc.text).cats == {k: pytest.approx(v, abs=1e-5) for k, v in doc.cats.items()}


def test_three_listeners_share_one_transformer(checkpoint: Path) -> None:
    nlp = build(checkpoint)
    # The tagger sums its gradient over the tokens, which would drown ours in the transformer.
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 0.01}
    nlp.add_pipe(
        "tagger",
        config={"model": {"tok2vec": {**listener, "pooling": {"@layers": "reduce_mean.v1"}}}},
    )
    nlp.add_pipe("bert_textcat_multilabel", config={"model": {"backbone": SHARED}})
    examples = []
    for text, label in make_rows(64):
        doc = nlp.make_doc(text)
        tags = ["P" if token.text in "，。" else "N" for token in doc]
        cats = {name: float(name == label) for name in ("neg", "pos")}
        examples.append(Example.from_dict(doc, {"tags": tags, "cats": cats}))
    last = teach(nlp, examples)
    for name, labels in (("bert_textcat", 1), ("bert_textcat_multilabel", 2)):
        coin = 4 * labels * np.log(2)  # over the four batches of an epoch
        assert last[name] < 0.75 * coin
    doc = nlp("味道不错，推荐")
    assert doc.cats["pos"] > 0.5
    assert {token.tag_ for token in doc} <= {"P", "N"}
    assert nlp.evaluate(examples)["tag_acc"] > 0.8


def test_without_a_transformer_it_says_so() -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe("bert_textcat", config={"model": {"backbone": SHARED}})
    examples = make_examples(nlp, 4)
    with pytest.raises(BertZhError, match="finds no component 'transformer' before it"):
        nlp.initialize(lambda: examples)
