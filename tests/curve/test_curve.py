"""A learning curve: nested shares, a law through what they bring, and a forecast."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_bert_zh.curve import Options, curve
from spacy_bert_zh.curve.law import fit_law, forecast
from spacy_bert_zh.curve.options import parse_options
from spacy_bert_zh.curve.report import lines
from spacy_bert_zh.errors import BertZhError
from tests.conftest import REPOSITORY, run_cli

CONFIG = REPOSITORY / "benchmarks" / "ngrams.cfg"
QUICK = {"training.optimizer.learn_rate.total_steps": 10}
ROWS = np.array([500.0, 1_000, 2_000, 3_500, 5_000])


@given(st.floats(0, 0.3), st.floats(0.05, 0.5), st.floats(0.05, 0.9))
@settings(deadline=None)
def test_a_law_that_holds_is_found(floor: float, scale: float, exponent: float) -> None:
    def truth(rows: Any) -> Any:
        return floor + scale * (rows / 5_000) ** -exponent

    found = fit_law(ROWS, truth(ROWS))
    ahead = np.array([10_000.0])
    assert found.at(ahead) == pytest.approx(truth(ahead), abs=0.003)
    assert found.floor >= 0 and found.scale >= 0


def test_the_forecast_is_as_sure_as_what_was_measured() -> None:
    random = np.random.default_rng(0)
    truth = 0.1 + 0.1 * (ROWS / 5_000) ** -0.4
    ahead = np.array([10_000.0])
    widths = []
    for noise in (0.002, 0.02):
        errors = truth * np.exp(noise * random.standard_normal(len(ROWS)))
        drawn = errors + noise * random.standard_normal((300, 1)) * errors
        found = forecast(ROWS, errors, drawn, ahead)
        assert found.low[0] <= found.errors[0] <= found.high[0]
        widths.append(found.high[0] - found.low[0])
    assert widths[0] < widths[1]


def test_no_error_at_all_is_no_fault() -> None:
    found = forecast(ROWS, np.zeros(5), np.zeros((20, 5)), np.array([10_000.0]))
    assert found.errors[0] < 1e-3 and 0 <= found.low[0] <= found.high[0]


@pytest.fixture(scope="module")
def done(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("curve") / "out"
    options = Options(corpus / "dev", shares=(0.1, 0.2, 0.5, 1.0))
    return output, curve(CONFIG, corpus / "train", output, options, overrides=QUICK)


def test_it_trains_on_growing_shares_and_forecasts(done: tuple[Path, dict[str, Any]]) -> None:
    output, report = done
    assert [run["rows"] for run in report["runs"]] == [12, 24, 60, 120]
    assert report["runs"][-1]["accuracy"] > 0.8 and report["figure"] == "accuracy"
    ahead = report["curve"][-1]
    assert ahead["rows"] == pytest.approx(240)
    assert ahead["low"] <= ahead["value"] <= ahead["high"]
    assert "after 240 rows" in lines(report)[1]
    page = (output / "report.html").read_text("utf-8")
    assert page.count("<svg") == 1 and "F1 of each label" in page
    assert json.loads((output / "report.json").read_text("utf-8")) == report


def test_what_is_done_is_not_done_again(done: tuple[Path, dict[str, Any]], corpus: Path) -> None:
    output, report = done
    kept = sorted(path.stat().st_mtime_ns for path in output.rglob("predictions.jsonl"))
    options = Options(corpus / "dev", shares=(1.0, 0.1, 0.2, 0.5))
    with pytest.raises(BertZhError, match="holds another curve"):
        curve(CONFIG, corpus / "train", output, options, overrides=QUICK)
    options = Options(corpus / "dev", shares=(0.1, 0.2, 0.5, 1.0))
    assert curve(CONFIG, corpus / "train", output, options, overrides=QUICK) == report
    again = sorted(path.stat().st_mtime_ns for path in output.rglob("predictions.jsonl"))
    assert len(again) == 4 and again == kept


def test_shares_that_cant_teach_are_refused(corpus: Path, tmp_path: Path) -> None:
    options = Options(corpus / "dev", shares=(0.008, 0.2, 0.5, 1.0))
    with pytest.raises(BertZhError, match=r"0\.008 of the 120 rows has fewer than two labels"):
        curve(CONFIG, corpus / "train", tmp_path / "out", options)
    with pytest.raises(BertZhError, match=r"--paths\.dev: .* leave it out"):
        curve(
            *(CONFIG, corpus / "train", tmp_path / "out", Options(corpus / "dev")),
            overrides={"paths.dev": "x"},
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("0.1,0.5,1", "give 4 or more"),
        ("0.1,0.1,0.5,1", "each once"),
        ("0.1,0.5,1,2", "2 is no share"),
        ("0,0.2,0.5,1", "0 is no share"),
        ("a,b", "give numbers"),
    ],
)
def test_bad_shares(shares: str, message: str) -> None:
    with pytest.raises(BertZhError, match=message):
        parse_options(dev=Path("dev"), shares=shares)


def test_the_command_says_what_is_wrong_in_one_line(corpus: Path, tmp_path: Path) -> None:
    words = ["curve", CONFIG, corpus / "train", tmp_path / "out", "--dev", corpus / "dev"]
    out = run_cli(*words, "--shares", "0.1,0.5,1", check=False)
    assert out.returncode == 1 and out.stderr.count("\n") == 1
    assert "give 4 or more" in out.stderr and not (tmp_path / "out").exists()
