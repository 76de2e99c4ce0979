"""The history of a training: its file, its picture, its place in the report."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.evaluate.history import draw_history, make_line, read_history, write_history


def line(step: int, score: float, loss: float | None = 0.5) -> dict[str, Any]:
    scores = {"cats_score": score, "speed": 123.4, "cats_f_per_type": {}, "cats_score_desc": "F"}
    info = {
        "step": step,
        "epoch": 0,
        "score": score,
        "other_scores": scores,
        "losses": {"分类": float("nan") if loss is None else loss},
    }
    return make_line(info, {}, step - 10, step == 10)


def test_a_line_holds_nothing_that_differs_when_repeated() -> None:
    assert line(10, 0.75, 5.0) == {
        "step": 10,
        "epoch": 0,
        "score": 0.75,
        "best": True,
        "loss": {"分类": 0.5},  # of a batch, and not the sum of ten
        "scores": {"cats_score": 0.75},
        "classifiers": {},
    }


def test_a_loss_that_is_no_number_is_null(tmp_path: Path) -> None:
    write_history([line(0, 0.1, None), line(10, 0.2)], tmp_path)
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text("utf-8")
    assert "<svg" in draw_history(read_history(tmp_path, line(10, 0.2)))


def test_a_history_is_that_of_the_pipeline_or_none(tmp_path: Path) -> None:
    lines = [line(0, 0.1), line(10, 0.2)]
    assert read_history(tmp_path, lines[1]) == []  # no file
    write_history(lines, tmp_path)
    assert read_history(tmp_path, lines[1]) == lines
    for other in (None, "x", {}, line(10, 0.3), line(20, 0.2)):
        assert read_history(tmp_path, other) == []


@pytest.mark.parametrize("content", ["", "{", "[]\n", '{"step": 1}\n', "\xff"])
def test_a_file_of_something_else_is_no_history(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content.encode("latin-1"))
    assert read_history(tmp_path, line(10, 0.2)) == []


def test_train_writes_a_line_for_each_evaluation(trained: Path) -> None:
    text = (trained.parent / "metrics.jsonl").read_text("utf-8")
    lines = [json.loads(one) for one in text.splitlines()]
    assert [one["step"] for one in lines] == [0, 10, 20, 30, 40]
    assert lines[-1]["loss"]["bert_textcat"] < lines[0]["loss"]["bert_textcat"]
    assert lines[-1]["scores"]["cats_macro_f"] > lines[0]["scores"]["cats_macro_f"]
    assert lines[-1]["classifiers"]["bert_textcat"]["constant"]["labels"] == ["neg"]
    svg = (trained.parent / "history.svg").read_text("utf-8")
    assert "score on dev" in svg and "loss of a batch" in svg


def test_the_report_shows_it_where_it_lies_beside_the_pipeline(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    assert "score on dev" in report(trained, corpus, tmp_path / "1")
    alone = tmp_path / "elsewhere"
    alone.symlink_to(trained)
    assert "score on dev" not in report(alone, corpus, tmp_path / "2")


def report(pipeline: Path, corpus: Path, output: Path) -> str:
    done = CliRunner().invoke(app, ["evaluate", str(pipeline), str(corpus / "dev"), str(output)])
    assert done.exit_code == 0, done.output
    return (output / "report.html").read_text("utf-8")
