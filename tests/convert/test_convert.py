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
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.convert import Options, convert
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.windows import find_backbone, pieces_read

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the corpora of ../shared/data")


def read_docs(folder: Path) -> list[Doc]:
    vocab = spacy.blank("zh").vocab
    shards = sorted(folder.glob("*.spacy"))
    return [doc for shard in shards for doc in DocBin().from_disk(shard).get_docs(vocab)]


def rejects(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "rejects.jsonl").read_text("utf-8").splitlines()]


def write_corpus(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{text}\t{label}\n" for text, label in rows), "utf-8")
    return path


def numbered(count: int, labels: str = "ab") -> list[tuple[str, str]]:
    return [(f"第{n}条新闻", labels[n % len(labels)]) for n in range(count)]


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


def test_report_for_people_counts_lengths(tmp_path: Path) -> None:
    rows = [("字" * 20 + str(n), "ab"[n % 2]) for n in range(9)] + [("长" * 600, "a")]
    source = write_corpus(tmp_path / "corpus.txt", rows)
    report = convert(source, tmp_path / "out", Options("thucnews", split=(1, 0, 0)))
    assert report["lengths"]["characters"] == {"50": 21, "90": 21, "95": 600, "99": 600, "100": 600}
    assert report["lengths"]["pieces"]["100"] == 600  # the pieces of a text are its characters
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "| a | 6 |" in text


@pytest.mark.parametrize(
    ("options", "read", "share"),
    [
        ({"config": CONFIGS / "ensemble.cfg"}, 236, 0.1),  # two windows of 126, 16 shared
        ({"config": CONFIGS / "shared.cfg"}, None, 0.0),  # windows to the end of any text
        ({"config": CONFIGS / "ensemble.cfg", "max_length": 20}, 20, 1.0),
        ({}, pieces_read(find_backbone(None)), None),
    ],
)
def test_the_report_measures_what_the_config_reads(
    options: dict[str, Any], read: int | None, share: float | None, tmp_path: Path
) -> None:
    rows = [("字" * 20 + str(n), "ab"[n % 2]) for n in range(8)]
    rows += [("长" * 236, "a"), ("长" * 237, "b")]
    source = write_corpus(tmp_path / "corpus.txt", rows)
    report = convert(source, tmp_path / "out", Options("thucnews", split=(1, 0, 0), **options))
    assert report["lengths"]["max_length"] == read
    assert share is None or report["lengths"]["over_max_length"] == share
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert ("All of every text is read" if read is None else f"more than {read} word") in text


def test_the_report_counts_the_pieces_of_a_bert_and_names_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    source = write_corpus(tmp_path / "corpus.txt", [("好吃的外卖推荐", "a"), ("难吃", "b")])
    counted = [
        convert(source, tmp_path / "out", Options("thucnews", split=(1, 0, 0), tokenizer=name))
        for name in (None, str(checkpoint))
    ]
    assert [report["lengths"]["tokenizer"] for report in counted] == [
        "the BERT that ships",
        str(checkpoint),
    ]
    ships, tiny = (report["lengths"]["pieces"]["100"] for report in counted)
    assert ships < tiny == 7  # the one that ships has words as pieces


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options("thucnews", limit=1, split=(1, 0, 0)), "only one class"),
        (Options("csv"), "no text column: the columns of .* are: '第0条新闻"),
        (Options("unheard"), "--format unheard is unknown: choose one of thucnews, sogou"),
        (
            Options("thucnews", dev=Path("no_such_file")),
            "No such file or directory: 'no_such_file'",
        ),
        (Options("thucnews", tokenizer="nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, options: Options, message: str
) -> None:
    source = write_corpus(tmp_path / "corpus.txt", numbered(20))
    with pytest.raises((BertZhError, OSError), match=message) as error:
        convert(source, tmp_path / "out", options)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_labels_that_train_lacks_are_named(tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train.txt", numbered(20))
    dev = write_corpus(tmp_path / "dev.txt", [("新的", "c"), ("旧的", "a")])
    with pytest.raises(BertZhError, match="labels of dev that train doesn't have: c;"):
        convert(train, tmp_path / "out", Options("thucnews", dev=dev))


@pytest.mark.parametrize("content", ["", "\n\n", "没有标签\n"])
def test_corpus_without_usable_rows(tmp_path: Path, content: str) -> None:
    source = tmp_path / "corpus.txt"
    source.write_text(content, "utf-8")
    with pytest.raises(BertZhError, match=r"no row that can be used: (it is empty|1 no tab)"):
        convert(source, tmp_path / "out", Options("thucnews"))


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", numbered(20))
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "chapter1.txt").write_text("precious", "utf-8")
    with pytest.raises(BertZhError, match="nothing says that 'convert' made it"):
        convert(source, output, Options("thucnews"))
    assert [path.name for path in output.iterdir()] == ["chapter1.txt"]


def test_an_older_output_is_replaced(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", numbered(20))
    for split in ((0.5, 0.5, 0), (1, 0, 0)):
        convert(source, tmp_path / "out", Options("thucnews", split=split))
    assert not (tmp_path / "out" / "dev").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": (0.5, 0.1, 0.1)}, "--split 0.5,0.1,0.1: give the shares"),
        ({"split": (0, 0.5, 0.5)}, "train isn't empty"),
        ({"split": (0.9, 0.1, 0), "dev": Path("dev.txt")}, "make that share 0"),
        ({"encoding": "utf-9"}, "--encoding utf-9 is unknown"),
        ({"encoding": "base64"}, "--encoding base64 is unknown"),
        ({"normalize": "all"}, "choose one of none, width, nfkc"),
        ({"limit": -1}, "--limit is -1"),
        ({"shard_size": -1}, "--shard-size is -1"),
    ],
)
def test_bad_options(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BertZhError, match=message):
        Options("csv", **values)


def test_command_line(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "corpus.txt", [*numbered(50), ("第0条新闻", "a")])
    command = ["convert", str(source), str(tmp_path / "out"), "--format", "thucnews"]
    result = CliRunner().invoke(app, [*command, "--split", "0.8,0.1,0.1"])
    assert result.exit_code == 0, result.output
    assert "rejected, duplicate: 1 rows" in result.output
    result = CliRunner().invoke(app, [*command, "--split", "most,some,few"])
    assert result.exit_code == 1
    assert "--split most,some,few: give three numbers" in result.output


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
