"""What comes into an index, what leaves it, and what makes it void."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import explain
from spacy_bert_zh.explain.page import Told, render_page
from spacy_bert_zh.index import Options, add_examples, forget_examples, index
from spacy_bert_zh.index.changing import add
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.textcat import Entry
from tests.conftest import make_examples, pipe_of, run_cli
from tests.index.conftest import Make, cats


def test_a_label_comes_without_training(given_files: Path, tmp_path: Path) -> None:
    nlp = spacy.load(given_files / "pipeline")
    pipe = pipe_of(nlp)
    old = [example.reference for example in make_examples(nlp, 40)]
    add(nlp, pipe, [Entry(text=d.text, labels=[max(d.cats, key=d.cats.get)]) for d in old])
    before = cats(nlp, [doc.text for doc in old])
    rows = [{"text": f"a b {'ab' * n} a", "label": "字母"} for n in range(1, 12)]
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    nlp.to_disk(tmp_path / "first")
    facts = index(tmp_path / "first", tmp_path / "second", Options(add=new))
    assert facts["new_labels"] == ["字母"]
    nlp = spacy.load(tmp_path / "second")
    assert pipe_of(nlp).labels == ("neg", "pos", "字母")
    assert len(pipe_of(nlp).neighbours) == 51
    (told,) = explain(nlp, ["ab ab a"])
    assert told.unlearnt == ("字母",)
    page = render_page("p", [Told(told, None, None)])
    assert "has never learnt 字母: such a score is by how near" in page
    assert max(nlp("ab ab a").cats.items(), key=lambda pair: pair[1])[0] == "字母"
    after = cats(nlp, [doc.text for doc in old])
    assert (after[:, :2].argmax(axis=1) == before.argmax(axis=1)).mean() > 0.9
    assert (after[:, 2] > 0.5).mean() <= 0.05


def test_what_is_forgotten_is_gone_from_the_files(given_files: Path, tmp_path: Path) -> None:
    first, second = given_files / "first", given_files / "second"
    rows = [
        {"text": '说"好"\\的\u2028店', "label": "pos"},
        {"text": "不好吃的一家店", "label": "neg"},
    ]
    (tmp_path / "add.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    index(given_files / "pipeline", first, Options(add=tmp_path / "add.jsonl"))
    (tmp_path / "gone.jsonl").write_text(json.dumps(rows[0]) + "\n", "utf-8")
    facts = index(first, second, Options(forget=tmp_path / "gone.jsonl"))
    assert (facts["texts"], facts["forgotten"]) == (1, 1)
    left = pipe_of(spacy.load(second)).neighbours
    assert [entry.text for entry in left.entries] == ["不好吃的一家店"]
    assert left.vectors.shape[0] == 1
    with pytest.raises(BertZhError, match=r"The index doesn't hold .*nothing to forget"):
        index(second, given_files / "third", Options(forget=tmp_path / "gone.jsonl"))
    (tmp_path / "all.txt").write_text("不好吃的一家店\n", "utf-8")
    index(second, given_files / "empty", Options(forget=tmp_path / "all.txt"))
    empty = spacy.load(given_files / "empty")
    np.testing.assert_array_equal(
        cats(empty, ["好吃"]), cats(spacy.load(given_files / "pipeline"), ["好吃"])
    )
    assert len(pipe_of(empty).neighbours) == 0
    assert pipe_of(empty).neighbours.mixing.learnt == ["neg", "pos"]


def test_training_makes_an_index_void(given_files: Path, caplog: Any) -> None:
    index(given_files / "pipeline", given_files / "out", Options(add=given_files / "train.spacy"))
    nlp = spacy.load(given_files / "out")
    nlp.update(make_examples(nlp, 4), sgd=nlp.resume_training())
    assert pipe_of(nlp).neighbours is None
    assert "its index is gone" in caplog.text
    nlp.to_disk(given_files / "out")  # over the older one
    assert pipe_of(spacy.load(given_files / "out")).neighbours is None
    assert not list((given_files / "out").rglob("texts.jsonl"))


def test_an_index_of_another_encoder_is_refused(given_files: Path, make_pipeline: Make) -> None:
    out = given_files / "out"
    index(given_files / "pipeline", out, Options(add=given_files / "train.spacy"))
    nlp = spacy.load(out)
    network = pipe_of(nlp).model.get_ref("backbone").shims[0].network
    for parameter in network.parameters():
        parameter.data.normal_()
    nlp.to_disk(given_files / "other")
    with pytest.raises(BertZhError, match="holds vectors of another encoder"):
        load_pipeline(given_files / "other")  # the door of every command
    with pytest.raises(BertZhError, match="holds vectors of another encoder"):
        add_examples(nlp, ["好吃"], ["pos"] if pipe_of(nlp).name == "bert_textcat" else [["pos"]])
    folder = out / pipe_of(nlp).name / "neighbours"
    lines = (folder / "texts.jsonl").read_text("utf-8").split("\n")
    (folder / "texts.jsonl").write_text("\n".join(lines[1:]), "utf-8")
    with pytest.raises(BertZhError, match="is damaged: 62 texts"):
        spacy.load(out)
    (folder / "texts.jsonl").unlink()
    with pytest.raises(BertZhError, match=r"texts\.jsonl is missing"):
        spacy.load(out)


def test_a_repair_that_comes_later_is_no_other_encoder(given_files: Path) -> None:
    """It reads some of the texts otherwise than they were indexed."""
    nlp = spacy.load(given_files / "pipeline")
    texts = ["ＡＢＣＤ", *(f"很好吃{number}" for number in range(7))]
    add_examples(nlp, texts, ["pos"] * 8)
    nlp.add_pipe("zh_repair", first=True)
    nlp.to_disk(given_files / "repairing")
    assert len(pipe_of(load_pipeline(given_files / "repairing")).neighbours) == 8


def test_an_index_may_be_emptied(given_files: Path) -> None:
    index(given_files / "pipeline", given_files / "full", Options(add=given_files / "train.spacy"))
    entries = pipe_of(spacy.load(given_files / "full")).neighbours.entries
    lines = "".join(json.dumps({"text": entry.text}) + "\n" for entry in entries)
    (given_files / "all.jsonl").write_text(lines, "utf-8")
    out = given_files / "emptied"
    said = run_cli("index", given_files / "full", out, "--forget", given_files / "all.jsonl").stdout
    assert "the index is empty" in said
    assert "have no say" not in said
    before, after = (load_pipeline(given_files / name) for name in ("pipeline", "emptied"))
    assert cats(after, ["很好吃"]) == pytest.approx(cats(before, ["很好吃"]))
    assert not after("很好吃")._.bert_textcat[pipe_of(after).name].get("neighbours")
    with pytest.raises(BertZhError, match="the index holds no text that could have a say"):
        index(out, given_files / "x", Options(dev=given_files / "dev.spacy"))
    assert index(out, given_files / "again", Options(add=given_files / "dev.spacy"))["texts"]


def test_what_else_is_refused(given_files: Path, tmp_path: Path) -> None:
    pipeline, out = given_files / "pipeline", given_files / "out"
    with pytest.raises(BertZhError, match="Nothing to do"):
        Options()
    with pytest.raises(BertZhError, match="has no index yet: give --add"):
        index(pipeline, out, Options(dev=given_files / "dev.spacy"))
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    with pytest.raises(BertZhError, match="holds no text"):
        index(pipeline, out, Options(add=tmp_path / "empty.jsonl"))
    if pipe_of(spacy.load(pipeline)).name == "bert_textcat":
        (tmp_path / "none.jsonl").write_text('{"text": "好", "label": []}\n', "utf-8")
        with pytest.raises(BertZhError, match=r"none\.jsonl"):
            index(pipeline, out, Options(add=tmp_path / "none.jsonl"))
    assert not out.exists()


def test_a_text_that_is_there_is_not_added_again(given_files: Path) -> None:
    options = Options(add=given_files / "train.spacy")
    index(given_files / "pipeline", given_files / "once", options)
    facts = index(given_files / "once", given_files / "twice", options)
    once, twice = (spacy.load(given_files / name) for name in ("once", "twice"))
    assert facts["texts"] == len(pipe_of(once).neighbours)
    assert facts["twice"] == 64
    assert pipe_of(once).neighbours.entries == pipe_of(twice).neighbours.entries


def test_a_loaded_pipeline_is_told(given_files: Path) -> None:
    nlp = spacy.load(given_files / "pipeline")
    add_examples(nlp, ["好吃", "难吃", "太慢"], [["pos"], "neg", "neg"])
    assert add_examples(nlp, ["难吃", "a b c"], ["neg", "字母"]) == 1
    assert nlp("a b c").cats["字母"] > 0.5
    with pytest.raises(BertZhError, match=r"doesn't hold .*没有"):
        forget_examples(nlp, ["难吃", "没有"])
    assert len(pipe_of(nlp).neighbours) == 4
    forget_examples(nlp, ["难吃"])
    assert [one.text for one in pipe_of(nlp).neighbours.entries] == ["好吃", "太慢", "a b c"]
    with pytest.raises(BertZhError, match="1 texts with 2 labels"):
        add_examples(nlp, ["好吃"], ["pos", "neg"])


def test_a_new_label_needs_others_beside_it(given_files: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    new.write_text('{"text": "a b", "label": "字母"}\n{"text": "b a", "label": "字母"}\n', "utf-8")
    with pytest.raises(BertZhError, match=r"Nothing to compare the texts of 字母 with"):
        index(given_files / "pipeline", given_files / "out", Options(add=new))
    assert not (given_files / "out").exists()


def test_more_texts_turn_decisions_off_where_they_vote(given_files: Path) -> None:
    train, dev = given_files / "train.spacy", given_files / "dev.spacy"
    index(given_files / "pipeline", given_files / "voting", Options(add=train, dev=dev))
    nlp = spacy.load(given_files / "voting")
    pipe_of(nlp).cfg["decision"] = {"abstention": {"right": 0.9, "score": 0.5}}
    nlp.to_disk(given_files / "deciding")
    index(given_files / "deciding", given_files / "out", Options(add=dev))
    assert pipe_of(spacy.load(given_files / "out")).cfg["decision"] is None
