"""`score` on Ray: the same rows as without it, also when processes are killed."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.score import score
from spacy_bert_zh.score.chunks import Job, make_groups
from tests.conftest import make_rows

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytest.importorskip("ray.data", reason="the extra 'ray' is not installed")

TEXT = Options("text", unlabelled=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray in this process, with little shared memory."""
    from spacy_bert_zh import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "MEMORY", 120_000_000)
        with cluster.ray_running(3):
            yield


def write(path: Path, count: int, seed: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = make_rows(count, seed)
    path.write_text("".join(f"{text}{n}\n" for n, (text, _) in enumerate(rows)), "utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines for many chunks."""
    return write(tmp_path_factory.mktemp("source") / "in.txt", 4000)


@pytest.fixture(scope="module")
def expected(source: Path, trained: Path) -> bytes:
    """What comes out without Ray."""
    output = source.with_name("expected.jsonl")
    assert score(str(trained), source, output, TEXT, chunk_size=100).rows == 4000
    return output.read_bytes()


def is_worker(words: str) -> bool:
    return words.startswith("ray::MapWorker(MapBatches(Worker))")


def processes() -> Iterator[tuple[int, int, str]]:
    """Number, parent and command line of each."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            yield int(folder.name), int(fields[1]), (folder / "cmdline").read_text()
        except OSError:
            continue  # it has ended


def family(first: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {number: parent for number, parent, _ in processes()}
    found = {first}
    while more := {n for n, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_many_files_and_bad_rows(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: None
) -> None:
    monkeypatch.setattr("spacy_bert_zh.score.chunks.GROUP", 5000)
    options = Options("csv", unlabelled=True, keep=None)
    folder = tmp_path / "in"
    for number in range(40):
        rows = [f"{n},{text}" for n, (text, _) in enumerate(make_rows(number % 7 * 10, number))]
        data = "\n".join(["id,text", *rows, "9", "10,"]).encode()
        path = folder / f"{number % 3}" / f"{number:03}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 5 == 0:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data))
        else:
            path.write_bytes(data)
    assert len(make_groups(sorted(folder.rglob("*.*")))) > 4
    for name, with_ray in (("here", False), ("ray", True)):
        settings: Any = {"chunk_size": 30, "workers": 1 + with_ray, "ray": with_ray, "text": True}
        score(str(trained), folder, tmp_path / name, options, **settings)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "ray").read_bytes()
    rows = read(tmp_path / "ray")
    assert sum("error" in row for row in rows) == 80
    assert len({row["file"] for row in rows}) == 40
    assert all(row["text"] for row in rows if "error" not in row)
    assert sum("id" in row.get("columns", {}) for row in rows) == len(rows) - 40
    assert not (tmp_path / "ray.parts").exists()


def test_parquet(trained: Path, tmp_path: Path, cluster: None) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    texts = [text for text, _ in make_rows(90)] + [None, "半个\x00"]
    parquet.write_table(pa.table({"text": texts}), tmp_path / "in.parquet", row_group_size=20)
    options = Options("parquet", unlabelled=True)
    output = tmp_path / "out"
    made = score(str(trained), tmp_path / "in.parquet", output, options, chunk_size=40, ray=True)
    assert made.rows == 92
    nlp = spacy.load(trained)
    for text, row in zip(texts, read(output), strict=True):
        if text:
            assert row["scores"] == pytest.approx(nlp(text).cats, abs=1e-5)
        else:
            assert "no text" in row["error"]


def test_a_run_begun_here_is_finished_by_ray(
    trained: Path, source: Path, expected: bytes, tmp_path: Path, cluster: None
) -> None:
    from spacy_bert_zh.score import flow, local

    def some(job: Job, groups: list, workers: int) -> Iterator[int]:
        for number, rows in enumerate(run(job, groups, workers)):
            yield rows
            if number == 10:
                raise KeyboardInterrupt

    output, run = tmp_path / "out", local.run
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(flow.local, "run", some)
        score(str(trained), source, output, TEXT, chunk_size=100)
    parts = list((tmp_path / "out.parts").glob("*.jsonl"))
    assert len(parts) == 11
    kept = min(parts)
    kept.write_bytes(kept.read_bytes().replace(b'"label"', b'"kept": 1, "label"'))
    score(str(trained), source, output, TEXT, chunk_size=100, workers=2, ray=True)
    assert output.read_bytes().count(b'"kept": 1, ') == 100
    assert output.read_bytes().replace(b'"kept": 1, ', b"") == expected


def test_killed_workers_are_replaced(
    trained: Path, source: Path, expected: bytes, tmp_path: Path, cluster: None
) -> None:
    output, killed = tmp_path / "out", []

    def kill() -> None:
        while len(killed) < 2:
            time.sleep(0.05)
            workers = {number for number, _, words in processes() if is_worker(words)}
            for number in sorted(workers - set(killed))[: 2 - len(killed)]:
                if list(tmp_path.glob("*/*.tries")):
                    os.kill(number, signal.SIGKILL)
                    killed.append(number)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    score(str(trained), source, output, TEXT, chunk_size=100, workers=2, ray=True)
    thread.join(1)
    assert len(killed) == 2
    assert output.read_bytes() == expected


def test_what_fails_there_is_one_line_here(tmp_path: Path, trained: Path, cluster: None) -> None:
    source = write(tmp_path / "in.txt", 5)
    with pytest.raises(BertZhError, match=r"^Can't load the pipeline 'none'[^\n]*$"):
        score("none", source, tmp_path / "out", TEXT, ray=True)
    (tmp_path / "in.parquet").write_bytes(b"no")
    options = Options("parquet", unlabelled=True)
    with pytest.raises(BertZhError, match=r"^\S*in.parquet can't be read as Parquet[^\n]*$"):
        score(str(trained), tmp_path / "in.parquet", tmp_path / "out2", options, ray=True)


def test_rows_that_kill_every_worker_end_the_run(tmp_path: Path) -> None:
    from spacy_bert_zh.score.chunks import Chunk, Item
    from spacy_bert_zh.score.on_ray import TRIES, tried

    chunk = Chunk(tmp_path / "00000-00000001.jsonl", [Item("in.txt", 7, "好")])
    for _ in range(TRIES):
        with pytest.raises(KeyboardInterrupt), tried(chunk):
            raise KeyboardInterrupt
    with (
        pytest.raises(BertZhError, match=r"3 workers were killed, at in.txt, line 7 on"),
        tried(chunk),
    ):
        pass


def test_a_run_killed_with_all_its_processes_goes_on(
    trained: Path, source: Path, expected: bytes, tmp_path: Path, cluster: None
) -> None:
    output, parts = tmp_path / "out", tmp_path / "out.parts"
    words = ["score", trained, source, output, "--format", "text", "--chunk-size", "100"]
    command = [sys.executable, "-m", "spacy_bert_zh", *map(str, words), "--ray"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(list(parts.glob("0*.jsonl"))) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    for number in family(process.pid):
        os.kill(number, signal.SIGKILL)
    process.wait()
    assert 3 <= len(list(parts.glob("0*.jsonl"))) < 41
    assert not output.exists()
    score(str(trained), source, output, TEXT, chunk_size=100, workers=2, ray=True)
    assert output.read_bytes() == expected


def test_without_ray_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from spacy_bert_zh.serve import serve_on_ray

    for module in ("score.on_ray", "serve.deployment"):
        monkeypatch.setitem(sys.modules, f"spacy_bert_zh.{module}", None)
    monkeypatch.delattr("spacy_bert_zh.score.on_ray", raising=False)
    with pytest.raises(BertZhError, match=r"score --ray needs .* pip install .*\[ray\]"):
        score("any", write(tmp_path / "in.txt", 1), tmp_path / "out", TEXT, ray=True)
    with pytest.raises(BertZhError, match=r"serve --ray needs .* pip install .*\[ray\]"):
        serve_on_ray(["any"])


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "node:port"])
def test_an_address_where_nothing_listens(address: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = address.format(port=taken.getsockname()[1])
        code = "from spacy_bert_zh.cluster import ray_running\nwith ray_running(1): pass"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert f"Can't start Ray (RAY_ADDRESS={address}): " in done.stderr.splitlines()[-1]
