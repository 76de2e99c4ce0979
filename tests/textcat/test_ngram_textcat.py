"""A text classifier of n-grams alone: learns, is saved, grows, is calibrated and packaged."""

from pathlib import Path

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import DocBin

from spacy_bert_zh.calibrate import Aims, calibrate
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import explain
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.textcat import rescale
from tests.conftest import close, make_examples, make_rows, pipe_of, teach
from tests.textcat.cats import TEXTS, cats_of

MODEL = {
    "@architectures": "spacy_bert_zh.NgramTextCat.v1",
    "linear_rate": 1.0,
    "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096},
}


def trained(factory: str) -> Language:
    nlp = spacy.blank("zh")
    exclusive = factory == "bert_textcat"
    nlp.add_pipe(factory, config={"model": {**MODEL, "exclusive_classes": exclusive}})
    teach(nlp, make_examples(nlp, 64), epochs=10)
    return nlp


def test_it_learns_and_is_saved(factory: str, tmp_path: Path) -> None:
    nlp = trained(factory)
    examples = make_examples(nlp, 40, 2)
    assert nlp.evaluate(examples)["cats_macro_auc"] > 0.95
    nlp.to_disk(tmp_path / "nlp")
    assert cats_of(load_pipeline(tmp_path / "nlp")) == [close(cats) for cats in cats_of(nlp)]
    # Texts without an n-gram get what the bias says, alone and among others.
    assert nlp("").cats == close(cats_of(nlp)[TEXTS.index("")])


def test_a_new_label_leaves_the_others_their_scores(factory: str) -> None:
    nlp = trained(factory)
    before = cats_of(nlp)
    pipe_of(nlp).add_label("mixed")
    after = cats_of(nlp)
    assert all(cats.pop("mixed") < 0.001 for cats in after)
    assert after == [close(cats, 1e-3) for cats in before]
    nlp.update(make_examples(nlp, 4), sgd=nlp.resume_training())


def test_logits_are_rescaled(factory: str) -> None:
    nlp = trained(factory)
    pipe = pipe_of(nlp)
    rescale(pipe.model, [0.0, 0.0], [0.0, 0.0])
    assert cats_of(nlp) == [close({"neg": 0.5, "pos": 0.5})] * len(TEXTS)


def test_it_is_calibrated(factory: str, tmp_path: Path) -> None:
    nlp = trained(factory)
    nlp.to_disk(tmp_path / "nlp")
    for split, seed in (("train", 0), ("dev", 3)):
        docs = [example.reference for example in make_examples(nlp, 120, seed)]
        (tmp_path / split).mkdir()
        DocBin(docs=docs).to_disk(tmp_path / split / "0.spacy")
    aims = Aims(right=0.7)
    train = tmp_path / "train"
    calibrate(tmp_path / "nlp", tmp_path / "calibrated", tmp_path / "dev", aims, train=train)
    calibrated = load_pipeline(tmp_path / "calibrated")
    strange, usual = (
        calibrated(text)._.bert_textcat[pipe_of(calibrated).name]["unlike"]
        for text in ("abbaab，，", make_rows(1, 3)[0][0])
    )
    assert strange > usual


def test_what_has_no_bert_says_so(tmp_path: Path) -> None:
    nlp = trained("bert_textcat")
    nlp.to_disk(tmp_path / "nlp")
    with pytest.raises(BertZhError, match="has no BERT of its own"):
        export(tmp_path / "nlp", tmp_path / "onnx", "onnx")
    with pytest.raises(BertZhError, match="has no BERT of its own"):
        explain(nlp, ["好吃"])


def test_weights_of_other_labels_are_refused(tmp_path: Path) -> None:
    trained("bert_textcat").to_disk(tmp_path / "nlp")
    path = tmp_path / "nlp" / "bert_textcat" / "cfg"
    settings = srsly.read_json(path)
    settings["labels"].append("mixed")
    srsly.write_json(path, settings)
    with pytest.raises(BertZhError, match=r"ngram_textcat.b have shape \(2,\)"):
        load_pipeline(tmp_path / "nlp")
