"""A cascade: who answers which text, what is saved of it, and when it goes."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.loading.answers import answer_all
from spacy_bert_zh.serve.schemas import Result
from spacy_bert_zh.textcat.cascade import Cascade, halves, margins
from tests.conftest import close, make_examples, make_rows, pipe_of, teach
from tests.textcat.cats import Make

TEXTS = ["", "x", *(text for text, _ in make_rows(20, 3)), "这家店"]
LINEAR = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096, "ngram_size": 2}
ENSEMBLE = {
    "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v3",
    "linear_model": LINEAR,
    "linear_rate": 1.0,
}


def ensemble(make_pipeline: Make, factory: str = "bert_textcat") -> Language:
    nlp = make_pipeline(factory)
    model = {**nlp.config["components"][factory]["model"], **ENSEMBLE}
    nlp = spacy.blank("zh")
    nlp.add_pipe(factory, config={"model": model})
    teach(nlp, make_examples(nlp, 64), epochs=3)
    return nlp


@pytest.fixture
def plain(make_pipeline: Make) -> Language:
    return ensemble(make_pipeline)


@pytest.fixture
def nlp(plain: Language) -> Language:
    """A pipeline whose n-grams answer the surer half of `TEXTS`."""
    pipe = pipe_of(plain)
    linear, _ = halves(pipe.model, [plain.make_doc(text) for text in TEXTS])
    pipe.cascade = Cascade(margin=round(float(np.median(margins(linear))), 4), temperature=2.0)
    return plain


def counted(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that reach the network from now on."""
    shim: Any = pipe_of(nlp).model.get_ref("backbone").shims[0]
    seen: list[str] = []
    encode = shim.encode

    def watch(docs: list[Any], is_train: bool) -> Any:
        seen.extend(doc.text for doc in docs)
        return encode(docs, is_train)

    monkeypatch.setattr(shim, "encode", watch)
    return seen


def test_the_network_reads_what_the_ngrams_leave(
    nlp: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipe_of(nlp)
    linear, full = halves(pipe.model, [nlp.make_doc(text) for text in TEXTS])
    sure = margins(linear) >= pipe.cascade.margin
    seen = counted(nlp, monkeypatch)
    docs = list(nlp.pipe(TEXTS, batch_size=7))
    assert seen == [text for text, alone in zip(TEXTS, sure, strict=True) if not alone]
    assert 0 < len(seen) < len(TEXTS) and "" in seen
    for doc, alone, ngrams, whole in zip(docs, sure, linear, full, strict=True):
        logits = ngrams / 2.0 if alone else whole
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        assert doc.cats == close(dict(zip(pipe.labels, scores.tolist(), strict=True)))
        reading = doc._.bert_textcat["bert_textcat"]
        assert reading["answered_by"] == ("ngrams" if alone else "network")
        assert (reading["pieces_read"] == 0) == bool(alone or not doc.text)


def test_all_or_none_may_reach_the_network(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, pipe = counted(nlp, monkeypatch), pipe_of(nlp)
    pipe.cascade = Cascade(margin=1e9, temperature=1.0)
    with_all = [doc.cats for doc in nlp.pipe(TEXTS)]
    assert seen == TEXTS
    pipe.cascade = None
    docs = list(nlp.pipe(TEXTS))
    assert [doc.cats for doc in docs] == [close(cats) for cats in with_all]
    assert "answered_by" not in docs[0]._.bert_textcat["bert_textcat"]
    seen.clear()
    pipe.cascade = Cascade(margin=1e-9, temperature=1.0)
    assert len(list(nlp.pipe(TEXTS[2:]))) == len(TEXTS) - 2
    assert seen == []
    assert list(nlp.pipe([])) == []


def test_it_is_saved(nlp: Language, tmp_path: Path) -> None:
    expected = [doc.cats for doc in nlp.pipe(TEXTS)]
    nlp.to_disk(tmp_path / "nlp")
    again = spacy.blank("zh").from_config(nlp.config).from_bytes(nlp.to_bytes())
    exported = export(tmp_path / "nlp", tmp_path / "torch", "torch")
    onnx = export(tmp_path / "nlp", tmp_path / "int8", "onnx", precision="int8", force=True)
    for other in (
        load_pipeline(tmp_path / "nlp"),
        again,
        copy.deepcopy(nlp),
        load_pipeline(exported),
    ):
        assert [doc.cats for doc in other.pipe(TEXTS)] == [close(cats) for cats in expected]
    small, counts = load_pipeline(onnx), {"ngrams": 0, "network": 0}
    for doc in small.pipe(TEXTS):
        counts[doc._.bert_textcat["bert_textcat"]["answered_by"]] += 1
    who = [doc._.bert_textcat["bert_textcat"]["answered_by"] for doc in nlp.pipe(TEXTS)]
    assert counts == {name: who.count(name) for name in counts} and all(counts.values())
    # spaCy's JSON has 15 digits.
    expected = pipe_of(nlp).cascade.model_dump()
    assert pipe_of(small).cascade.model_dump() == pytest.approx(expected)


def test_the_service_says_who_answered(nlp: Language) -> None:
    answers = [answer for answer in answer_all(nlp, TEXTS) if answer and answer.reading]
    results = [Result(labels=[], given=[], **(answer.reading or {})) for answer in answers]
    assert {result.answered_by for result in results} == {"ngrams", "network"}


def test_training_uses_both_halves_and_turns_it_off(
    nlp: Language, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    examples = make_examples(nlp, 16)
    seen = counted(nlp, monkeypatch)
    nlp.update(examples, sgd=None)
    assert len(seen) == 16 and pipe_of(nlp).cascade is None
    assert "its cascade is off" in caplog.text


def test_another_label_turns_it_off(nlp: Language) -> None:
    pipe_of(nlp).add_label("pos")
    assert pipe_of(nlp).cascade
    pipe_of(nlp).add_label("new")
    assert pipe_of(nlp).cascade is None


def test_who_can_have_none_says_so(make_pipeline: Make) -> None:
    cascade = Cascade(margin=1.0, temperature=1.0)
    several = pipe_of(ensemble(make_pipeline, "bert_textcat_multilabel"))
    with pytest.raises(BertZhError, match="labels don't exclude each other"):
        several.cascade = cascade
    alone = pipe_of(make_pipeline())
    with pytest.raises(BertZhError, match="no n-grams stand beside its BERT"):
        alone.cascade = cascade


@pytest.mark.parametrize(
    "damage", [{"margin": 0.0}, {"temperature": -1.0}, {"margin": "1"}, {"more": 1}, 3]
)
def test_damage_is_found(nlp: Language, damage: Any, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "nlp")
    path = tmp_path / "nlp" / "bert_textcat" / "cfg"
    cfg = json.loads(path.read_text("utf-8"))
    cfg["cascade"] = {**cfg["cascade"], **damage} if isinstance(damage, dict) else damage
    path.write_text(json.dumps(cfg), "utf-8")
    with pytest.raises(BertZhError, match="cascade"):
        load_pipeline(tmp_path / "nlp")


def test_an_earlier_pipeline_has_none(nlp: Language, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "nlp")
    path = tmp_path / "nlp" / "bert_textcat" / "cfg"
    cfg = json.loads(path.read_text("utf-8"))
    del cfg["cascade"]
    path.write_text(json.dumps(cfg), "utf-8")
    assert pipe_of(load_pipeline(tmp_path / "nlp")).cascade is None
    assert pipe_of(nlp.from_disk(tmp_path / "nlp")).cascade is None
