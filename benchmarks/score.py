"""`score` on a million headlines, killed once with all its processes and resumed.

    python benchmarks/score.py ../shared/data PIPELINE
    python benchmarks/score.py ../shared/data PIPELINE --rows 100000 --kill-after 30 --ray

Every headline has its number behind it, so that none is there twice; afterwards each line must
stand in the output exactly once and in order.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    pipeline: Annotated[Path, typer.Argument(help="A trained pipeline.")],
    rows: Annotated[int, typer.Option(help="Of the corpus.")] = 1_000_000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    kill_after: Annotated[float, typer.Option(help="Seconds.")] = 100,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray.")] = False,
) -> None:
    """Measure, and print a line of JSON."""
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.txt", Path(folder) / "out.jsonl"
        write_corpus(data, source, rows)
        words = ["score", pipeline, source, output, "--format", "text", "--workers", workers]
        command = [sys.executable, "-m", "spacy_bert_zh", *map(str, words), *["--ray"] * ray]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        first = subprocess.Popen(command, env=environment, start_new_session=True)
        time.sleep(kill_after)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        kept = len(list(Path(f"{output}.parts").glob("*.jsonl")))
        begin = time.perf_counter()
        subprocess.run(command, env=environment, check=True)
        seconds = kill_after + time.perf_counter() - begin
        numbers = [json.loads(line)["line"] for line in output.open(encoding="utf-8")]
        assert numbers == list(range(1, rows + 1)), "not every row once and in order"
        result = {"rows": rows, "seconds": round(seconds), "rows/s": round(rows / seconds)}
        print(json.dumps({**result, "chunks kept": kept, "every row once": True}))


def write_corpus(data: Path, path: Path, rows: int) -> None:
    """Headlines in random order, each with its number."""
    lines = (data / "thucnews10" / "train.txt").read_text("utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines]
    choose = random.Random(0).choice
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{choose(texts)} {number}\n" for number in range(rows))


if __name__ == "__main__":
    app()
