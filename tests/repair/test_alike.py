"""Sound-alikes and look-alikes put back, where the training's texts clearly prefer that."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from spacy.language import Language

from spacy_bert_zh.changes import Family, change_anywhere, make_families
from spacy_bert_zh.characters import homophones, look_alikes
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.repair import Counts, Repairer, as_read
from spacy_bert_zh.repair.likelihood import Likelihood
from tests.conftest import example_of, make_examples, make_rows

TEXTS = [text for text, _ in make_rows(4000)]
COUNTS = Counts.learn(TEXTS, {}, [homophones(), look_alikes()])
LEARNT = Repairer(COUNTS)
FAMILIES = make_families(["sound", "shape"])
ALIKE = "".join(dict.fromkeys("".join(COUNTS.alike)[:300] + "".join(TEXTS[:20]))) + "，。a\n"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("这家店味到不错", "这家店味道不错"),
        ("这加店很快", "这家店很快"),
        ("米饭也南痴。", "米饭也难吃。"),  # both of a word
        ("老板服务热清", "老板服务热情"),
        ("味到不错，味到不错\n服务热晴", "味道不错，味道不错\n服务热情"),
    ],
)
def test_what_clearly_stood_there_is_put_back(text: str, meant: str) -> None:
    assert LEARNT(text) == (meant, ["alike"])


@pytest.mark.parametrize(
    "text", ["今天天气好", "到了", "abc，。", "味", "难", "男吃女做", "店", "𠮷野家\ud800"]
)
def test_what_may_be_meant_stays(text: str) -> None:
    assert LEARNT(text) == (text, [])


def test_without_counts_or_tables_nothing_is_put_back() -> None:
    assert Repairer()("味到不错") == Repairer(Counts.learn(TEXTS, {}))("味到不错")
    assert Repairer()("味到不错")[1] == []


@given(st.sampled_from(TEXTS))
def test_texts_of_the_training_stay(text: str) -> None:
    assert LEARNT(text) == (text, [])


@settings(max_examples=100)
@given(st.text(st.sampled_from(ALIKE)) | st.text())
def test_what_is_repaired_stays_and_has_its_length(text: str) -> None:
    repaired, rules = LEARNT(text)
    assert LEARNT(repaired) == (repaired, [])
    if rules == ["alike"]:
        assert len(repaired) == len(text)
        pairs = zip(text, repaired, strict=True)
        assert all(a == b or b in COUNTS.alike[a] for a, b in pairs)


@pytest.mark.parametrize("family", make_families(["sound", "shape"]), ids=lambda one: one.name)
def test_most_of_what_attacks_change_comes_back(family: Family) -> None:
    chance, changed, undone = random.Random(0), 0, 0
    for text in TEXTS[:100]:
        attacked = change_anywhere(text, family, 2, chance)
        changed += attacked != text
        undone += attacked != text == LEARNT(attacked)[0]
    assert undone > 0.8 * changed > 50


def test_long_texts_without_a_known_pair_end() -> None:
    text = "".join(random.Random(0).choices("".join(COUNTS.alike), k=300))
    assert len(LEARNT(text)[0]) == 300


def test_likelihoods_are_probabilities() -> None:
    likelihood = Likelihood(Counts.learn(["好吃", "好吃", "好看"], {}, [{"好": ("号",)}]))
    codes = np.asarray([ord(character) for character in "好吃看"])
    after = np.exp(likelihood.after(codes[:1], codes))[0]
    assert after.sum() == pytest.approx(1, abs=0.1) and after.argmax() == 1
    nowhere = np.exp(likelihood.after(np.zeros(1, dtype=np.int64), codes))[0]
    assert nowhere == pytest.approx(np.asarray([3, 2, 1]) / 7)


def test_with_more_asked_for_less_is_undone() -> None:
    attacked = [change_anywhere(text, FAMILIES[0], 2, random.Random(0)) for text in TEXTS[:100]]
    strict = Repairer(COUNTS, clearly=1e12)
    undone = [[repair(text)[0] != text for text in attacked] for repair in (strict, LEARNT)]
    assert sum(undone[0]) < sum(undone[1])


# --- the component


def test_how_clear_it_must_be_is_a_setting(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    repair = repairing(nlp, undo_sound=True)
    repair.initialize(lambda: [example_of(nlp, {}, text) for text in TEXTS])
    nlp.to_disk(tmp_path)
    assert as_read(spacy.load(tmp_path), "味到不错") == "味道不错"
    strict = spacy.load(tmp_path, config={"components.zh_repair.clearly": 1e12})
    assert as_read(strict, "味到不错") == "味到不错"
    with pytest.raises(BertZhError, match=r"clearly = 0\.5 .* must be 1 or more"):
        spacy.load(tmp_path, config={"components.zh_repair.clearly": 0.5})


def repairing(nlp: Language, **config: bool) -> Any:
    return nlp.add_pipe("zh_repair", first=True, config=config)


def test_counts_are_the_same_when_read_again() -> None:
    read = Counts.from_bytes(COUNTS.to_bytes(), "here")
    assert read.alike == COUNTS.alike and np.array_equal(read.counts, COUNTS.counts)
    assert Repairer(read)("味到不错") == LEARNT("味到不错")


@pytest.mark.parametrize("alike", [b"\xff", b"\xe5\xa5\xbd"])
def test_a_damaged_table_is_one_line(alike: bytes) -> None:
    arrays = load(COUNTS.to_bytes()) | {"alike": np.frombuffer(alike, dtype=np.uint8)}
    with pytest.raises(BertZhError, match="here is damaged"):
        Counts.from_bytes(save(arrays), "here")


def test_without_these_settings_counts_stay_small() -> None:
    nlp = spacy.blank("zh")
    repair = repairing(nlp)
    repair.initialize(lambda: [example_of(nlp, {}, text) for text in TEXTS[:50]])
    assert repair.counts.keys.max() < 1 << 42 and repair.counts.counts.min() == 2


def test_texts_that_convert_has_changed_do_not_count() -> None:
    nlp = spacy.blank("zh")
    examples = [example_of(nlp, {}, text) for text in (*TEXTS[:50], "咏春" * 9)]
    examples[-1].reference.user_data["changed"] = "sound"
    repair = repairing(nlp, undo_sound=True)
    repair.initialize(lambda: examples)
    assert repair.counts.of(TEXTS[0][:2]) and not repair.counts.of("咏春")


def test_look_alikes_may_come_from_a_file(tmp_path: Path) -> None:
    similar = tmp_path / "similar.txt"
    similar.write_text("饭 钣\n", "utf-8")
    nlp = spacy.blank("zh")
    repair = repairing(nlp, undo_shape=True)
    repair.initialize(lambda: [example_of(nlp, {}, t) for t in TEXTS], similar=[str(similar)])
    assert repair.counts.alike == {"钣": "饭"}
    assert as_read(nlp, "米钣很快，外卖也难吃。") == "米饭很快，外卖也难吃。"
    with pytest.raises(BertZhError, match=r"nowhere\.txt"):
        repair.initialize(lambda: [], similar=[str(tmp_path / "nowhere.txt")])


@pytest.mark.parametrize("format", ["torch", "onnx"])
def test_exports_carry_it(
    format: str, make_pipeline: Callable[..., Language], tmp_path: Path
) -> None:
    nlp = make_pipeline()
    repairing(nlp, undo_sound=True, undo_shape=True)
    examples = make_examples(nlp, 2000)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "pipeline")
    exported = load_pipeline(export(tmp_path / "pipeline", tmp_path / "exported", format))
    doc = exported("米饭也南痴。")
    assert doc.text == "米饭也南痴。"
    assert doc._.zh_repair == {"text": "米饭也难吃。", "repaired": ["alike"]}
    assert doc.cats == pytest.approx(exported("米饭也难吃。").cats)
