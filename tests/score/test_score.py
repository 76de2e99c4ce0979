"""Large corpora: a row out for each row in, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.score import local, score
from tests.conftest import make_rows, run_cli


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text, _ in make_rows(50)]
    rows[7], rows[20] = "{broken", json.dumps({"text": "半个\ud83d"})
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_every_row_once_and_bad_ones_with_their_error(
    workers: int, trained: Path, lines: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    options = Options("jsonl", unlabelled=True)
    assert score(str(trained), lines, output, options, workers=workers, chunk_size=8).rows == 50
    rows = read(output)
    assert [row["line"] for row in rows] == list(range(1, 51))
    assert {n for n, row in enumerate(rows) if "error" in row} == {7, 20}
    assert rows[20]["error"] == "lone surrogate"
    nlp = spacy.load(trained)
    for (text, _), row in zip(make_rows(50), rows, strict=True):
        if "error" not in row:
            assert row["scores"] == pytest.approx(nlp(text).cats, abs=1e-5)
            assert row["label"] == max(row["scores"], key=row["scores"].get)
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_the_command_reads_tables(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,review\n1,好吃\n2,难吃\n3\n", "utf-8")
    words = ["score", trained, tmp_path / "in.csv", tmp_path / "out.jsonl", "--format", "csv"]
    done = run_cli(*words, "--text-columns", "review")
    assert "3 rows" in done.stdout
    rows = read(tmp_path / "out.jsonl")
    assert [row.get("label") for row in rows] == ["pos", "neg", None]
    assert "wrong number of fields" in rows[2]["error"]
    assert "1 of 3 rows have an error, no label; the first is in.csv, line 4: wrong" in done.stderr


def test_a_killed_run_goes_on(trained: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"{text}{n}\n" for n, (text, _) in enumerate(make_rows(6000))))
    parts = tmp_path / "out.jsonl.parts"
    words = ["score", trained, source, output, "--format", "text", "--chunk-size", "200"]
    command = [sys.executable, "-m", "spacy_bert_zh", *map(str, words)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while len(list(parts.glob("0*.jsonl"))) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in parts.glob("0*.jsonl")}
    assert 3 <= len(done) < 30 and not output.exists()
    first = min(done)
    marked = first.read_text("utf-8").replace('"label"', '"kept": true, "label"')
    first.write_text(marked, "utf-8")
    run_cli(*words)
    rows = read(output)
    assert [row["line"] for row in rows] == list(range(1, 6001))
    assert sum("kept" in row for row in rows) == 200


def begin(patch: pytest.MonkeyPatch, *arguments: Any, **settings: Any) -> None:
    """Leave a run after its first chunk."""
    run = local.run

    def some(*arguments: Any) -> Iterator[int]:
        yield next(run(*arguments))
        raise KeyboardInterrupt

    with patch.context() as within, pytest.raises(KeyboardInterrupt):
        within.setattr(local, "run", some)
        score(*arguments, **settings)


def test_chunks_of_another_run_are_not_taken(
    trained: Path, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, output = Options("jsonl", unlabelled=True), tmp_path / "out.jsonl"
    begin(monkeypatch, str(trained), lines, output, options, chunk_size=8)
    assert len(list((tmp_path / "out.jsonl.parts").glob("*.jsonl"))) == 1
    for changes in ({"text": True}, {"chunk_size": 9}, {"component": "bert_textcat"}):
        with pytest.raises(BertZhError, match="is of a run with another pipeline"):
            score(str(trained), lines, output, options, **{"chunk_size": 8, **changes})
    assert score(str(trained), lines, output, options, restart=True).rows == 50
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_chunks_that_belong_to_no_run_are_mended_or_explained(
    trained: Path, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, output = Options("jsonl", unlabelled=True), tmp_path / "out.jsonl"
    parts = tmp_path / "out.jsonl.parts"
    begin(monkeypatch, str(trained), lines, output, options, chunk_size=8)
    (parts / "run").unlink()
    (chunk,) = parts.glob("*.jsonl")
    chunk.write_text("{}\n" * 8)
    assert score(str(trained), lines, output, options, chunk_size=8).rows == 50
    assert "{}" not in output.read_text("utf-8").splitlines()
    parts.mkdir()
    (parts / "thesis.txt").write_text("mine")
    for restart in (False, True):
        with pytest.raises(BertZhError, match=r"holds thesis.txt"):
            score(str(trained), lines, output, options, restart=restart)
    assert (parts / "thesis.txt").read_text() == "mine"


def test_a_mistake_does_not_stand_in_the_way(trained: Path, lines: Path, tmp_path: Path) -> None:
    options, output = Options("jsonl", unlabelled=True), tmp_path / "out.jsonl"
    for workers in (1, 2):
        with pytest.raises(BertZhError, match="Can't load the pipeline 'none'"):
            score("none", lines, output, options, workers=workers)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.jsonl"]
    assert score(str(trained), lines, output, options).rows == 50


def test_an_output_is_no_input(trained: Path, lines: Path, tmp_path: Path) -> None:
    folder, before = tmp_path / "in", lines.read_bytes()
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "好吃"}', "utf-8")
    options = Options("jsonl", unlabelled=True)
    for source, place, message in (
        (lines, lines, "input and output at once"),
        (lines, lines.parent, "is inside the output"),
        (folder, folder / "out.jsonl", "is inside the input"),
        (lines, trained / "out.jsonl", "is inside the input"),
    ):
        with pytest.raises(BertZhError, match=message):
            score(str(trained), source, place, options)
    assert lines.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["a.jsonl"]


def test_what_is_not_there_is_said(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match="No file of the format csv"):
        (tmp_path / "empty").mkdir()
        score(str(trained), tmp_path / "empty", tmp_path / "out", Options("csv", unlabelled=True))


def test_special_files_are_refused(trained: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    for source in (tmp_path / "fifo.txt", "/dev/zero", "/dev/stdin"):
        done = run_cli("score", trained, source, tmp_path / "out.jsonl", "-f", "text", check=False)
        assert done.returncode == 1
        assert "isn't a regular file" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["fifo.txt"]
