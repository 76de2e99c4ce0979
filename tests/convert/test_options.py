"""Options: which of them a format can follow, and which contradict each other."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.convert import Options
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.formats import FORMATS
from spacy_bert_zh.reading.options import UNDERSTOOD_BY, UNLABELLED

VALUES: dict[str, Any] = {
    **{"encoding": "gb18030", "text_columns": ("a",), "label_column": "a", "label_columns": ("a",)},
    **{"label_separator": "|", "label_first": True, "quotes": False, "classes": Path("c")},
    **{"hosts": Path("h"), "language": "en", "buckets": ("head",), "multilabel": True},
    **{"delimiter": ";", "escape": "\\", "sheet": "a", "keep": ("a",)},
    **{"label_names": (("0", "a"),), "segment": True, "pos": True, "shard_size": 5},
    **{"fixes": Path("f"), "taxonomy": Path("t"), "level_separator": "/"},
    **{"augment": ("drop",), "adversarial": (Path("a"),)},
}


def test_the_table_of_options_names_formats_that_there_are() -> None:
    assert {name for formats in UNDERSTOOD_BY.values() for name in formats} <= FORMATS.keys()
    assert set(UNLABELLED) <= FORMATS.keys()
    assert {*UNDERSTOOD_BY, *Options.for_labels} <= VALUES.keys()


@pytest.mark.parametrize("format", FORMATS)
def test_an_option_that_a_format_can_t_follow_is_an_error(format: str) -> None:
    for name, value in VALUES.items():
        flag = "--" + name.replace("_", "-")
        understood = format in UNDERSTOOD_BY.get(name, FORMATS)
        if understood and not (name in Options.for_labels and format in UNLABELLED):
            Options(format, **{name: value})
            continue
        with pytest.raises(BertZhError, match=f"{flag}.* means nothing"):
            Options(format, **{name: value})


@pytest.mark.parametrize("name", Options.for_labels)
def test_options_for_labels_contradict_unlabelled(name: str) -> None:
    format = UNDERSTOOD_BY.get(name, ("csv",))[0]
    with pytest.raises(BertZhError, match=r"means nothing without labels \(--unlabelled\)"):
        Options(format, unlabelled=True, **{name: VALUES[name]})


def test_two_ways_to_find_labels() -> None:
    with pytest.raises(BertZhError, match="--label-column and --label-columns contradict"):
        Options("csv", label_column="a", label_columns=("b",))


@pytest.mark.parametrize("command", [["score", "pipe", "in.txt", "out.jsonl", "-f", "text"],
                                     ["pretrain", "in.txt", "out", "-f", "text"]])  # fmt: skip
def test_score_and_pretrain_refuse_them_too(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("文\n", "utf-8")
    command = [
        str(tmp_path / part) if part.startswith(("in.", "out")) else part for part in command
    ]
    result = CliRunner().invoke(app, [*command, "--text-columns", "评论"])
    assert result.exit_code == 1
    assert "--text-columns means nothing to the format text" in result.output
