"""Changed texts in train: what is made, what stays out, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from spacy.tokens import Doc

from spacy_bert_zh.changes import NAMES
from spacy_bert_zh.convert import Options, convert, parse_options
from spacy_bert_zh.errors import BertZhError
from tests.conftest import run_cli
from tests.convert.corpora import write_corpus
from tests.convert.test_convert import read_docs

ROWS = [(f"强烈推荐第{n}家钱庄", "ab"[n % 2]) for n in range(60)]


def made(tmp_path: Path, name: str = "out", **options: Any) -> tuple[Path, dict[str, Any]]:
    source = write_corpus(tmp_path / "corpus.txt", ROWS)
    given = {"split": "0.6,0.2,0.2", "augment": "drop,sound", **options}
    return tmp_path / name, convert(
        source, tmp_path / name, parse_options(format="thucnews", **given)
    )


def changed(folder: Path) -> list[Doc]:
    return [doc for doc in read_docs(folder) if "changed" in doc.user_data]


def test_train_alone_has_changed_texts_with_the_labels_of_theirs(tmp_path: Path) -> None:
    output, report = made(tmp_path, augment_changes=1, augment_share=2.0)
    plain, _ = made(tmp_path, "plain", augment="")
    assert not changed(output / "dev") and not changed(output / "test")
    for split in ("dev", "test"):
        assert [doc.text for doc in read_docs(output / split)] == [
            doc.text for doc in read_docs(plain / split)
        ]
    rows = {doc.user_data["line"]: doc for doc in read_docs(plain / "train")}
    docs = changed(output / "train")
    assert {doc.user_data["changed"] for doc in docs} == {"drop", "sound"}
    for doc in docs:
        row = rows[doc.user_data["line"]]
        assert doc.cats == row.cats and doc.text != row.text
        assert len(row.text) - len(doc.text) == (doc.user_data["changed"] == "drop")
    kept = [doc.text for doc in read_docs(output / "train") if "changed" not in doc.user_data]
    assert sorted(kept) == sorted(doc.text for doc in rows.values())
    assert sum(report["added"].values()) == len(docs) > len(rows)
    assert report["rows"] == {"read": 60, "written": 60, "rejected": 0}
    assert f"train has {len(docs)} changed texts" in (output / "report.md").read_text("utf-8")


def test_the_same_seed_makes_the_same(tmp_path: Path) -> None:
    folders = [made(tmp_path, name, seed=seed)[0] for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    shards = [(folder / "train" / "00000.spacy").read_bytes() for folder in folders]
    assert shards[0] == shards[1] != shards[2]


def test_changed_texts_are_shuffled_among_the_others(tmp_path: Path) -> None:
    output, _ = made(tmp_path)
    marks = ["changed" in doc.user_data for doc in read_docs(output / "train")]
    assert 0 < sum(marks[: len(marks) // 2]) < sum(marks)


def test_a_share_is_how_many_for_each_row(tmp_path: Path) -> None:
    rows = made(tmp_path, "one", augment_share=1.0)[1]["splits"]["train"]["rows"]
    few = sum(made(tmp_path, "few", augment_share=0.25)[1]["added"].values())
    assert 0 < few < rows / 2


def test_no_text_of_another_split_is_made(tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train.txt", [("好吃极了", "a"), ("讨厌死啦", "b")])
    without = [text[:i] + text[i + 1 :] for text in ("好吃极了", "讨厌死啦") for i in range(4)]
    dev = write_corpus(
        tmp_path / "dev.txt", [(text, "ab"[i // 4]) for i, text in enumerate(without[:7])]
    )
    options = Options("thucnews", dev=dev, augment=("drop",), augment_share=40.0, augment_changes=1)
    report = convert(train, tmp_path / "out", options)
    assert report["added"] == {"drop": 1}
    assert [doc.text for doc in changed(tmp_path / "out" / "train")] == [without[7]]


def attacked(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    names = ("text", "original", "family")
    lines = [
        json.dumps({**dict(zip(names, row, strict=True)), "label": "b", "edits": 1}) for row in rows
    ]
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_what_an_attack_on_train_has_found_comes_back(tmp_path: Path) -> None:
    plain, _ = made(tmp_path, "plain", augment="")
    text = next(doc for doc in read_docs(plain / "train") if doc.cats["a"]).text
    other = read_docs(plain / "dev")[0].text
    rows = [(text[1:], text, "drop"), (other[1:], other, "drop"), (other, text, "swap")]
    file = attacked(tmp_path / "adversarial.jsonl", rows)
    output, report = made(tmp_path, augment="", adversarial=(file,))
    (doc,) = changed(output / "train")
    assert doc.text == text[1:] and doc.cats == {"a": 1.0, "b": 0.0}
    assert report["added"] == {"drop": 1}
    assert "2 of 3 texts were made of texts of train" in report["notes"][0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"text": "好", "original": "没有", "family": "drop"}', "none of its 1 texts"),
        ('{"text": "好", "label": "a"}', r"adversarial.jsonl:1 lacks family, original"),
        ("好\ta", "adversarial.jsonl:1"),
    ],
)
def test_a_file_of_something_else(rows: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "adversarial.jsonl"
    file.write_text(rows, "utf-8")
    with pytest.raises(BertZhError, match=message):
        made(tmp_path, augment="", adversarial=(file,))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": "sonud"}, f"--augment sonud is unknown: choose one of {', '.join(NAMES)}"),
        ({"augment_share": 0.0}, "--augment-share is 0: it must be more than 0"),
        ({"augment_changes": 0}, "--augment-changes is 0: it must be 1 or more"),
        ({"augment": "", "augment_share": 2.0}, "--augment-share means nothing without --augment"),
        ({"augment": "", "similar": (Path("s"),)}, "--similar means nothing without --augment"),
    ],
)
def test_an_option_without_a_meaning(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BertZhError, match=re.escape(message)):
        parse_options(format="csv", **{"augment": "drop", **options})


def test_the_command(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", ROWS)
    similar = tmp_path / "similar.txt"
    similar.write_text("钱 浅\n推 堆\n", "utf-8")
    words = ["convert", source, tmp_path / "out", "--format", "thucnews", "--augment", "shape"]
    done = run_cli(*words, "--similar", similar)
    assert "changed texts besides its rows:" in done.stdout
    texts = "".join(doc.text for doc in changed(tmp_path / "out" / "train"))
    assert "浅" in texts and "堆" in texts
