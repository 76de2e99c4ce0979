"""What an evaluation shows: the page, the mistakes, the table of the command."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import print_table
from spacy_bert_zh.evaluate.flow import evaluate
from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.evaluate.report import confused_pairs, rank_mistakes
from tests.evaluate.tiny import ATTACK, FACTORIES, LABELS, UNSEEN, Page


def test_the_report_says_what_the_pipeline_reads(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    metrics = evaluate(trained, corpus / "dev", tmp_path)
    said = "at most 2 of them: the first 116 pieces of a text. What comes after plays no part."
    assert metrics["pipeline"]["reads"].endswith(said)
    assert said in (tmp_path / "report.html").read_text("utf-8")


def test_what_is_written_is_whole_and_the_same_every_time(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    outputs = [tmp_path / "一", tmp_path / "二"]
    metrics = [evaluate(pipelines["textcat"], corpora["textcat"], out) for out in outputs]
    for name in ("metrics.json", "report.html"):
        first, second = ((out / name).read_text("utf-8") for out in outputs)
        assert first == second
        assert str(tmp_path.parent) not in first
    assert json.loads((outputs[0] / "metrics.json").read_text("utf-8")) == metrics[0]
    pipeline = metrics[0]["pipeline"]
    assert (pipeline["name"], pipeline["version"]) == ("zh_tiny", "1.2.3")
    assert pipeline["labels"] == sorted([*LABELS, UNSEEN])
    for label, row in metrics[0]["confusion"].items():
        assert sum(row.values()) == metrics[0]["classes"][label]["support"]
        assert row.get(label, 0) == metrics[0]["classes"][label]["tp"]


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_report_and_the_table_tell_how_far_to_trust(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    factory: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = evaluate(pipelines[factory], corpora[factory], tmp_path)
    found = metrics["reliability"]
    text = " ".join(Page((tmp_path / "report.html").read_text("utf-8")).text.split())
    assert f"off by {found['ece']:.4f} (the expected calibration error)" in text
    low, high = metrics["intervals"]["macro_f1"]
    assert f"macro F1 {low:.4f} to {high:.4f}" in text
    print_table(metrics)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"expected calibration error {found['ece']:.4f}" in printed
    assert f"{low:.4f} to {high:.4f}" in printed
    selective = factory == "textcat"
    assert ("What if it answers only where it is sure?" in text) is selective
    assert ("answered at 99 % right" in printed) is selective
    assert (found["aurc"] is not None) is selective


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_report_stands_alone_and_escapes_what_it_shows(
    pipelines: dict[str, Path], corpora: dict[str, Path], factory: str, tmp_path: Path
) -> None:
    metrics = evaluate(pipelines[factory], corpora[factory], tmp_path)
    html = (tmp_path / "report.html").read_text("utf-8")
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "iframe"} and UNSEEN not in html
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "@import" not in html and "prefers-color-scheme: dark" in html
    for label in [*LABELS, UNSEEN]:
        assert label in page.text
    assert f"{metrics['accuracy']:.4f}" in page.text
    if factory == "textcat":
        assert ATTACK in page.text


def test_mistakes_and_confused_pairs_are_ranked() -> None:
    gold = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
    predicted = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    scores = np.array([[0.3, 0.6, 0.1], [0.1, 0.9, 0.0], [0.0, 0.8, 0.2], [0.2, 0.1, 0.7]])
    known = np.ones_like(gold, dtype=bool)
    lengths = np.array([1, 2, 3, 4])
    excerpts = ["轻", "重", "漏", "对"]
    predictions = Predictions(
        ["甲", "乙", "丙"], False, gold, predicted, scores, known, excerpts, lengths
    )
    order = rank_mistakes(predictions)
    assert [excerpts[row] for row in order] == ["重", "漏", "轻"]
    (pair,) = confused_pairs(predictions, order)
    assert (pair["gold"], pair["predicted"], pair["count"], pair["share"]) == ("甲", "乙", 2, 1.0)
    assert pair["examples"] == ["重", "轻"]


def test_the_command_prints_an_aligned_table(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    arguments = [str(pipelines["textcat"]), str(corpora["textcat"]), str(tmp_path)]
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 0, result.output
    assert f"✔ {tmp_path / 'report.html'}" in result.output
    rows = [line for line in result.output.splitlines() if line.startswith((*LABELS, UNSEEN))]
    assert len(rows) == 4
    assert len({cell_len(row.rstrip()) for row in rows}) == 1


def test_the_table_shows_labels_as_they_are(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = evaluate(pipelines["textcat"], corpora["textcat"], tmp_path)
    metrics["classes"] = {"[bold]甲[/bold]": metrics["classes"][LABELS[0]]}
    print_table(metrics)
    assert "[bold]甲[/bold]" in capsys.readouterr().out


def test_the_command_fails_in_one_line(corpora: dict[str, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "zh_nowhere", str(tmp_path), str(tmp_path)])
    assert result.exit_code == 1
    assert "zh_nowhere" in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("package", "module"), [("matplotlib", "plots"), ("sklearn", "evaluate.metrics")]
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"spacy_bert_zh.{module}")
    with pytest.raises(BertZhError, match=r"spacy-bert-zh\[plots\]"):
        importlib.import_module(f"spacy_bert_zh.{module}")
