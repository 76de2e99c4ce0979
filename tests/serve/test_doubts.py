"""What a calibrated pipeline can't answer, as the service, the page and `score` say it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.score import score
from tests.serve.browsing import origin, viewing
from tests.serve.serving import Running, serving

TEXT = "这家店外卖太慢，米饭难吃。"


@pytest.fixture(scope="module")
def unsure(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that is never sure enough, and rules nothing out."""
    nlp = spacy.load(trained)
    nlp.get_pipe("bert_textcat").cfg["decision"] = {
        "abstention": {"right": 0.99, "score": 1.0},
        "sets": {"coverage": 0.95, "score": 0.0},
    }
    folder = tmp_path_factory.mktemp("unsure") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def server(unsure: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("server"), str(unsure)) as running:
        running.wait_for("ready")
        yield running


def test_the_service_tells_it_on_request(server: Running) -> None:
    (plain,) = server.classify(text=TEXT).json()["results"]
    assert not {"decision", "why", "set"} & plain.keys()
    (result,) = server.classify(text=TEXT, explain=True).json()["results"]
    assert (result["decision"], result["why"]) == ("abstain", "unsure")
    assert result["set"] == [item["label"] for item in result["labels"]]
    assert result["given"] == result["set"][:1]  # what it says when it must


def test_the_page_says_it_plainly(browser: Any, server: Running, tmp_path: Path) -> None:
    with viewing(browser, origin(server), tmp_path) as view:
        view.open(origin(server))
        view.write(TEXT)
        view.page.wait_for_selector(".result .warning")
        said = view.page.inner_text(".result")
        assert "Unsure: the scores are too low for an answer." in said
        assert "Most likely:" in said
        assert "Can't be ruled out:" in said
        assert view.page.locator(".bars .strong").count() == 0
        view.choose("texts.txt", f"{TEXT}\n{TEXT}\n".encode())
        view.page.check("[value=file]", force=True)
        view.run()
        assert "unsure" in view.page.inner_text("tbody")
        assert "2 texts unsure, or unlike the training texts." in view.page.inner_text(".summary")
        assert [row["doubt"] for row in view.rows()] == ["unsure", "unsure"]
        assert "doubt" in view.download("csv").splitlines()[0]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_score_writes_it(unsure: Path, tmp_path: Path, ending: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": TEXT}) + "\n{broken\n", "utf-8")
    output = tmp_path / f"out.{ending}"
    score(str(unsure), tmp_path / "in.jsonl", output, Options("jsonl", unlabelled=True))
    if ending == "jsonl":
        row = json.loads(output.read_text("utf-8").splitlines()[0])
        assert row["set"] == sorted(row["scores"], key=lambda label: -row["scores"][label])
    elif ending == "csv":
        row = next(csv.DictReader(output.read_text("utf-8-sig").splitlines()))
        assert set(row["set"].split("|")) == {"neg", "pos"}
    else:
        row = pytest.importorskip("pyarrow.parquet").read_table(output).to_pylist()[0]
        assert set(row["set"]) == {"neg", "pos"}
    assert (row["decision"], row["why"]) == ("abstain", "unsure")
