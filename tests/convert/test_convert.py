"""The whole way, from a corpus on disk to what spaCy reads."""

import json
import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_bert_zh.convert import Options, convert
from tests.convert.corpora import numbered, write_corpus

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the corpora of ../shared/data")


def read_docs(folder: Path) -> list[Doc]:
    vocab = spacy.blank("zh").vocab
    shards = sorted(folder.glob("*.spacy"))
    return [doc for shard in shards for doc in DocBin().from_disk(shard).get_docs(vocab)]


def rejects(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "rejects.jsonl").read_text("utf-8").splitlines()]


def test_docs_have_all_labels_and_the_tokens_of_the_chinese_pipeline(tmp_path: Path) -> None:
    rows = [
        ("北京 欢迎  你\t！", "体育"),
        ("股市 2024 大涨", "财经"),
        ("火箭 Rockets 赢了", "体育"),
    ]
    source = write_corpus(tmp_path / "corpus.txt", rows)
    output = tmp_path / "out"
    convert(source, output, Options("thucnews", split=(1, 0, 0)))
    docs = read_docs(output / "train")
    nlp = spacy.blank("zh")
    assert {doc.text: doc.cats for doc in docs} == {
        "北京 欢迎  你 ！": {"体育": 1.0, "财经": 0.0},
        "股市 2024 大涨": {"体育": 0.0, "财经": 1.0},
        "火箭 Rockets 赢了": {"体育": 1.0, "财经": 0.0},
    }
    for doc in docs:
        expected = nlp(doc.text)
        assert [(t.text, t.whitespace_) for t in doc] == [(t.text, t.whitespace_) for t in expected]
    read_labels = spacy.registry.readers.get("spacy.read_labels.v1")
    assert read_labels(output / "labels.json") == ["体育", "财经"]


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    train = write_corpus(
        tmp_path / "train.txt",
        [
            *numbered(20),
            ("第3条新闻", "b"),  # a duplicate of line 4
            ("说不清", "a"),
            ("说不清", "b"),  # contradicts the line before
            ("泄漏到开发集", "a"),
            ("泄漏到测试集", "a"),
            ("\u200b \u3000", "a"),
        ],
    )
    dev = write_corpus(tmp_path / "dev.txt", [("泄漏到开发集", "a"), ("都有", "b")])
    test = write_corpus(tmp_path / "test.txt", [("泄漏到测试集", "a"), ("都有", "b")])
    output = tmp_path / "out"
    report = convert(train, output, Options("thucnews", dev=dev, test=test))
    assert report["rows"] == {"read": 30, "written": 23, "rejected": 7}
    assert report["rejected"] == {"contradictory labels": 2, "duplicate": 1, "empty": 1, "leak": 3}
    assert {name: split["rows"] for name, split in report["splits"].items()} == {
        "train": 20,
        "dev": 1,
        "test": 2,
    }
    assert report["files"][str(train)] == {"written": 20, "rejected": 6}
    reasons = {(Path(row["file"]).name, row["line"]): row["reason"] for row in rejects(output)}
    assert reasons == {
        ("train.txt", 21): f"duplicate of {train}:4",
        ("train.txt", 22): f'contradictory labels ["b"] in {train}:23',
        ("train.txt", 23): f'contradictory labels ["a"] in {train}:22',
        ("train.txt", 24): f"leak also in {dev}:1",
        ("train.txt", 25): f"leak also in {test}:1",
        ("train.txt", 26): "empty",
        ("dev.txt", 2): f"leak also in {test}:2",
    }
    assert json.loads((output / "report.json").read_text("utf-8")) == report


def test_hash_split_keeps_its_texts_when_rows_are_added(tmp_path: Path) -> None:
    few = write_corpus(tmp_path / "few.txt", numbered(200))
    more = write_corpus(tmp_path / "more.txt", [*numbered(400)[::-1]])
    options = Options("thucnews", split=(0.6, 0.2, 0.2))
    convert(few, tmp_path / "few", options)
    convert(more, tmp_path / "more", options)
    for split in ("train", "dev", "test"):
        texts = {doc.text for doc in read_docs(tmp_path / "few" / split)}
        assert texts < {doc.text for doc in read_docs(tmp_path / "more" / split)}


def test_stratified_split_keeps_the_share_of_each_label(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", numbered(300, "aaaaaaaaab"))
    options = Options("thucnews", split=(0.8, 0.1, 0.1), split_by="stratified")
    report = convert(source, tmp_path / "out", options)
    assert {name: split["labels"] for name, split in report["splits"].items()} == {
        "train": {"a": 216, "b": 24},
        "dev": {"a": 27, "b": 3},
        "test": {"a": 27, "b": 3},
    }
    assert report["imbalance"] == 9


def test_rows_are_shuffled_by_the_seed_and_the_output_repeats(tmp_path: Path) -> None:
    rows = sorted(numbered(300), key=lambda row: row[1])
    source = write_corpus(tmp_path / "corpus.txt", rows)
    orders = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        convert(source, tmp_path / name, Options("thucnews", split=(1, 0, 0), seed=seed))
        orders[name] = [doc.text for doc in read_docs(tmp_path / name / "train")]
    assert orders["first"] == orders["again"] != orders["other"]
    labels = dict(rows)
    halves = [labels[text] for text in orders["first"]]
    assert 50 < halves[:150].count("a") < 100
    shard = Path("train", "00000.spacy")
    assert (tmp_path / "first" / shard).read_bytes() == (tmp_path / "again" / shard).read_bytes()


def test_limit_and_shards(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", numbered(100))
    options = Options("thucnews", split=(0.5, 0.5, 0), limit=25, shard_size=10)
    report = convert(source, tmp_path / "out", options)
    assert report["rejected"] == {"over --limit": 50}
    assert [split["rows"] for split in report["splits"].values()] == [25, 25]
    assert len(list((tmp_path / "out" / "train").glob("*.spacy"))) == 3
    assert len(read_docs(tmp_path / "out" / "train")) == 25


def test_multilabel_rows(tmp_path: Path) -> None:
    source = tmp_path / "corpus.csv"
    source.write_text("text,label\n一,甲|乙\n二,乙\n三,丙|甲\n", "utf-8")
    options = Options("csv", label_separator="|", split=(1, 0, 0))
    report = convert(source, tmp_path / "out", options)
    assert report["multilabel"] and report["labels"] == ["丙", "乙", "甲"]
    cats = {doc.text: doc.cats for doc in read_docs(tmp_path / "out" / "train")}
    assert cats["一"] == {"丙": 0.0, "乙": 1.0, "甲": 1.0}


def test_unlabelled_text_becomes_json_lines(tmp_path: Path) -> None:
    source = tmp_path / "raw.txt"
    source.write_text(
        "第一行\n\n第二行\n第一行\n" + "".join(f"行{n}\n" for n in range(50)), "utf-8"
    )
    report = convert(source, tmp_path / "out", Options("text"))
    lines = (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0]).keys() == {"text"}
    assert len(lines) == report["splits"]["train"]["rows"]
    assert report["rejected"] == {"duplicate": 1} and report["labels"] == []
    assert not (tmp_path / "out" / "labels.json").exists()
    corpus = spacy.registry.readers.get("spacy.JsonlCorpus.v1")(tmp_path / "out" / "train.jsonl")
    assert len(list(corpus(spacy.blank("zh")))) == len(lines)


def test_segmented_words_and_tags(tmp_path: Path) -> None:
    rows = [("我爱北京 天安门", "a"), ("今天天气很好\n真的", "b")]
    source = tmp_path / "corpus.jsonl"
    source.write_text("".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in rows), "utf-8")
    options = Options("jsonl", split=(1, 0, 0), pos=True)
    convert(source, tmp_path / "out", options)
    docs = {doc.text: doc for doc in read_docs(tmp_path / "out" / "train")}
    assert docs.keys() == {text for text, _ in rows}
    assert [(t.text, t.tag_) for t in docs["我爱北京 天安门"]] == [
        ("我", "r"),
        ("爱", "v"),
        ("北京", "ns"),
        ("天安门", "ns"),
    ]
    assert not list((tmp_path / "out").glob("**/jieba*"))


def test_an_older_output_is_replaced(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", numbered(20))
    for split in ((0.5, 0.5, 0), (1, 0, 0)):
        convert(source, tmp_path / "out", Options("thucnews", split=split))
    assert not (tmp_path / "out" / "dev").exists()


@needs_data
def test_thucnews_as_published(tmp_path: Path) -> None:
    folder = DATA / "thucnews10"
    options = Options("thucnews", dev=folder / "dev.txt")
    report = convert(folder / "train.txt", tmp_path / "out", options)
    assert report["rows"]["read"] == 55_000
    # Of the 101 repeated texts in train, two come with two labels each; 7 repeat in dev.
    assert report["rejected"] == {"contradictory labels": 4, "duplicate": 99 + 7, "leak": 44}


@needs_data
def test_waimai_is_contradictory(tmp_path: Path) -> None:
    report = convert(DATA / "waimai_10k" / "waimai_10k.csv", tmp_path / "out", Options("csv"))
    assert report["rows"] == {"read": 11_987, "written": 11_973, "rejected": 14}
    assert report["rejected"] == {"contradictory labels": 14}


@needs_data
def test_sogou_as_published(tmp_path: Path) -> None:
    options = Options("sogou", split_by="stratified")
    report = convert(DATA / "sogou", tmp_path / "out", options)
    assert report["rows"]["read"] == 400
    assert report["rejected"] == {"duplicate": 9, "no content": 70}
    assert "公益" in report["labels"] and "财经" in report["labels"]


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path: Path) -> None:
    source = tmp_path / "large.txt"
    letters = [chr(code) for code in range(0x4E00, 0x5E00)]
    pick = random.Random(0)
    with open(source, "w", encoding="utf-8") as file:
        for number in range(100_000):
            text = "".join(pick.choices(letters, k=660))
            file.write(f"{text}\t{number % 10}\n")
    assert source.stat().st_size > 190_000_000
    command = [sys.executable, "-m", "spacy_bert_zh", "convert", source, tmp_path / "out"]
    subprocess.run([*command, "--format", "thucnews"], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert peak < 400, f"{peak:.0f} MB"
