"""Repairs: what is undone, what stays, and who reads the result."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import DocBin

from spacy_bert_zh.changes import apply, make_families
from spacy_bert_zh.characters import is_chinese, splits
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_as_classified
from spacy_bert_zh.explain import explain
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.pieces import text_of
from spacy_bert_zh.repair import Counts, Repairer, as_read
from spacy_bert_zh.textcat import build_ngram_linear_v1
from tests.conftest import example_of, initialized, make_examples, make_rows

TEXTS = [
    *[
        "强烈推荐这家店",
        "强烈反对",
        "中国市场很大",
        "中国市场 中国股市",
        "哈哈大笑哈哈",
        "他是女子",
    ],
    *[
        "乔治·布什在华盛顿",
        "布什会见乔治·华盛顿",
        "《强者》上映",
        "明星们强烈要求好评",
        "好评",
        "好人",
    ],
] * 3
CERTAIN = Repairer()
LEARNT = Repairer(Counts.learn(TEXTS, splits()), simplify=True)
PLAIN = st.text(
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
    | st.sampled_from("，。！？：；（）、《》“”…—·～ abcXYZ0123456789.,!?-()'\"\n")
)
ANY = st.text(st.characters() | st.sampled_from("强弓虽女子好 ·*\u200b\u0301Ａ①国國!！"))


# --- the rules


@pytest.mark.parametrize(
    ("text", "repaired", "rules"),
    [
        ("加\u200b微\ufe0f信\x07", "加微信", ["invisible"]),
        ("强\u0336烈\u20dd推荐", "强烈推荐", ["invisible"]),
        ("ＡＢ１２％，cafe\u0301", "AB12%，café", ["invisible", "width"]),
        ("⼈民㊎，①⒜", "人民金，1⒜", ["width"]),
        ("加 微 信 看 片", "加微信看片", ["wedged"]),
        ("好好好好好！！！！！", "好好好！！！", ["repeats"]),
    ],
)
def test_what_is_certain_is_undone(text: str, repaired: str, rules: list[str]) -> None:
    assert CERTAIN(text) == (repaired, rules)


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("弓虽烈推荐", "强烈推荐"),
        ("问弓虽吗", "问强吗"),  # 虽 never stands alone
        ("中·国市 场", "中国市场"),
        ("强*烈反#对", "强烈反对"),
        ("强强强烈", "强烈"),
        ("強烈推薦", "强烈推荐"),
        ("中\u200b*国市场", "中国市场"),
    ],
)
def test_the_training_s_texts_decide(text: str, repaired: str) -> None:
    assert LEARNT(text)[0] == repaired != CERTAIN(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        *[
            "中国市场 中国",
            "乔治·布什",
            "他是女子",
            "哈哈",
            "10000000",
            "《强者》上映",
            "春、夏、秋",
        ],
        *['It\'s 3.5% - "off" (now)!', "C++ www.a.com aaaa", "一 二", "第1章\n第2章"],
    ],
)
def test_what_may_be_meant_stays(text: str) -> None:
    assert CERTAIN(text) == LEARNT(text) == (text, [])


@given(PLAIN)
def test_plain_text_loses_nothing_but_gaps_and_repeats(text: str) -> None:
    repaired, rules = CERTAIN(text)
    assert set(rules) <= {"wedged", "repeats"}
    assert rules or repaired == text


@settings(max_examples=300)
@given(ANY)
def test_a_repaired_text_stays_as_it_is(text: str) -> None:
    for repair in (CERTAIN, LEARNT):
        repaired, rules = repair(text)
        assert repair(repaired) == (repaired, [])
        assert (repaired != text) == bool(rules)


@pytest.mark.parametrize("name", ["zero_width", "width", "traditional"])
def test_a_family_with_an_inverse_is_undone(name: str) -> None:
    (family,), undone = make_families([name]), 0
    for text in {text for text, _ in make_rows(60)} | set(TEXTS):
        expected, chance = LEARNT(text)[0], random.Random(0)
        for place in range(len(text)):
            edit = family.change(text, place, chance)
            if edit is not None and is_chinese(text[place]):
                undone += 1
                assert LEARNT(apply(text, [edit]))[0] == expected
    assert undone > 20


# --- the component


def repairing(nlp: Language, **config: Any) -> Any:
    return nlp.add_pipe("zh_repair", first=True, config=config)


def test_the_text_stays_and_the_extension_tells() -> None:
    nlp = spacy.blank("zh")
    repairing(nlp)
    doc = nlp("加\u200b微信")
    assert doc.text == "加\u200b微信"
    assert doc._.zh_repair == {"text": "加微信", "repaired": ["invisible"]}
    kept = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (read,) = DocBin().from_bytes(kept).get_docs(nlp.vocab)
    assert read._.zh_repair["text"] == "加微信"


def test_classifiers_read_the_repaired_text(make_pipeline: Callable[..., Language]) -> None:
    nlp = make_pipeline()
    backbone = initialized(nlp).model.get_ref("backbone")

    def vector(text: str) -> Any:
        return backbone.predict([nlp(text)])

    plain = vector("味道不错")
    assert not np.allclose(vector("味道*不错"), plain)
    repairing(nlp).initialize(lambda: [example_of(nlp, {}, "味道不错")] * 3)
    assert np.array_equal(vector("味\u200b道*不错"), plain)


def test_ngrams_read_it_too() -> None:
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc("难\u200b吃")]
    model = build_ngram_linear_v1(2, 64, 1)
    model.initialize()
    model.set_param("W", np.arange(64, dtype=np.float32)[:, None])
    before = model.predict(docs)
    repairing(nlp)
    after = model.predict([nlp("难\u200b吃")])
    assert after == model.predict([nlp.make_doc("难吃")]) != before


def test_what_is_fitted_reads_it_too(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    DocBin(docs=[nlp.make_doc("好\u200b吃")]).to_disk(tmp_path / "0.spacy")
    read = [text_of(doc) for doc in read_as_classified(nlp, tmp_path)]
    repairing(nlp)
    assert [*read, *map(text_of, read_as_classified(nlp, tmp_path))] == ["好\u200b吃", "好吃"]


def test_explanations_are_of_what_is_read(make_pipeline: Callable[..., Language]) -> None:
    nlp = make_pipeline()
    initialized(nlp)
    repairing(nlp)
    (found,) = explain(nlp, ["好\u200b吃"])
    assert found.text == as_read(nlp, "好\u200b吃") == "好吃"


def test_a_trained_pipeline_carries_it(
    make_pipeline: Callable[..., Language], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nlp = make_pipeline()
    repairing(nlp, join_split=True)
    examples = make_examples(nlp, 80)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "pipeline")
    read = load_pipeline(tmp_path / "pipeline")
    text = "这家店女子乞，味道*不错"
    assert as_read(read, text) == as_read(nlp, text) != text
    assert read(text).cats == pytest.approx(nlp(text).cats)
    copied = make_pipeline()
    repairing(copied, join_split=True)
    copied.from_bytes(nlp.to_bytes())
    assert as_read(copied, text) == as_read(nlp, text)
    export(tmp_path / "pipeline", tmp_path / "bert", "checkpoint")
    assert "has no zh_repair" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [lambda data: data[:40], lambda data: b"?" * len(data)])
def test_damaged_counts_are_one_line(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    repairing(nlp)
    nlp.initialize(lambda: [example_of(nlp, {}, "味道不错")] * 3)
    nlp.to_disk(tmp_path)
    file = tmp_path / "zh_repair" / "counts.safetensors"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(BertZhError, match=r"counts\.safetensors is damaged"):
        load_pipeline(tmp_path)
    file.unlink()
    with pytest.raises(BertZhError, match=r"counts\.safetensors is missing"):
        load_pipeline(tmp_path)
