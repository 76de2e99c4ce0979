"""What people are told: the report, and in one line what can't be converted."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.convert import Options, convert
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.windows import find_backbone, pieces_read
from tests.convert.corpora import numbered, write_corpus

CONFIGS = Path(__file__).parents[2] / "configs"


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
