"""Labels that are a tree: rows get all labels above their own, and what is no tree is refused."""

import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_bert_zh.convert import Options, convert
from spacy_bert_zh.errors import BertZhError
from tests.conftest import run_cli

ROWS = ["足球进了,足球", "投篮中了,篮球", "冠军诞生,体育", "唱歌跳舞,其他"]


def source(folder: Path, rows: list[str] = ROWS) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


def cats_of(folder: Path) -> dict[str, set[str]]:
    vocab = spacy.blank("zh").vocab
    docs = DocBin().from_disk(folder / "train" / "00000.spacy").get_docs(vocab)
    return {doc.text: {label for label, value in doc.cats.items() if value} for doc in docs}


def test_a_taxonomy_fills_in_what_lies_above(tmp_path: Path) -> None:
    taxonomy = tmp_path / "taxonomy.tsv"
    taxonomy.write_text("足球\t体育\n篮球\t体育\n体育\t新闻\n其他\n棋\t体育\n", "utf-8")
    words = ["--format", "csv", "--split", "1,0,0", "--taxonomy", taxonomy]
    done = run_cli("convert", source(tmp_path), tmp_path / "out", *words)
    assert "a tree of 3 levels, 2 at the top and 3 leaves" in done.stdout
    assert cats_of(tmp_path / "out") == {
        "足球进了": {"足球", "体育", "新闻"},
        "投篮中了": {"篮球", "体育", "新闻"},
        "冠军诞生": {"体育", "新闻"},
        "唱歌跳舞": {"其他"},
    }
    saved = json.loads((tmp_path / "out" / "taxonomy.json").read_text("utf-8"))
    assert saved == {"体育": "新闻", "篮球": "体育", "足球": "体育"}
    labels = json.loads((tmp_path / "out" / "labels.json").read_text("utf-8"))
    assert set(labels) == {"其他", "体育", "新闻", "篮球", "足球"}
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["multilabel"] and report["splits"]["train"]["labels"]["新闻"] == 3


def test_separators_do_the_same_beside_several_labels(tmp_path: Path) -> None:
    rows = ["进球也结婚,体育-足球|人生-结婚", "只是体育,体育"]
    options = Options("csv", label_separator="|", level_separator="-", split=(1.0, 0.0, 0.0))
    convert(source(tmp_path, rows), tmp_path / "out", options)
    assert cats_of(tmp_path / "out") == {
        "进球也结婚": {"体育", "体育-足球", "人生", "人生-结婚"},
        "只是体育": {"体育"},
    }


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("足球\t体育\n篮球\t体育\n", "lacks the label '其他' of the corpus: add a line"),
        ("足球\t体育\n足球\t运动\n", "'足球' has two parents"),
        ("足球\t体育\n体育\t足球\n", "in a circle: 足球 → 体育 → 足球"),
    ],
)
def test_a_bad_taxonomy_leaves_nothing_behind(tmp_path: Path, table: str, said: str) -> None:
    taxonomy = tmp_path / "taxonomy.tsv"
    taxonomy.write_text(table, "utf-8")
    with pytest.raises(BertZhError, match=said):
        convert(source(tmp_path), tmp_path / "out", Options("csv", taxonomy=taxonomy))
    assert not (tmp_path / "out").exists()


def test_levels_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match="no label has '/' in it"):
        convert(source(tmp_path), tmp_path / "out", Options("csv", level_separator="/"))
    rows = ["进球,新闻/体育", "投篮,体育/篮球"]
    with pytest.raises(BertZhError, match="'体育' is the end of '新闻/体育'"):
        convert(source(tmp_path, rows), tmp_path / "out", Options("csv", level_separator="/"))
    with pytest.raises(BertZhError, match="choose one"):
        Options("csv", level_separator="/", taxonomy=tmp_path / "t.tsv")
    with pytest.raises(BertZhError, match="--level-separator is empty"):
        Options("csv", level_separator="")
    with pytest.raises(BertZhError, match="means nothing without labels"):
        Options("text", level_separator="/")
