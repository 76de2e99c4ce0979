"""Training in several processes beside one: texts a second, and how far the weights are apart.

    python benchmarks/processes.py CORPUS WORK
    python benchmarks/processes.py CORPUS WORK --config configs/torch.cfg --processes 4 --batch 64

Both are the command `train`, with one thread for each process and the same batches. A time is that
of so many steps more, a long training's less a short one's, so that start, evaluations and saving
are left out; one and several take turns, and the ratio is the median over the rounds, with the
least and the most. The weights are those after 50 steps in float32 without any dropout.
Results: WORK/processes.json.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

os.environ |= {"OMP_NUM_THREADS": "1", "USE_TF": "0"}

import numpy as np
import spacy
import typer

from spacy_bert_zh.train.gradients import find_parameters

REPOSITORY = Path(__file__).parents[1]
COMPARED = 50


def main(
    corpus: Annotated[Path, typer.Argument(help="As `convert` writes one.")],
    work: Annotated[Path, typer.Argument(help="Folder to work in.")],
    config: Annotated[Path, typer.Option()] = REPOSITORY / "configs" / "ensemble.cfg",
    processes: Annotated[int, typer.Option(min=2)] = 2,
    batch: Annotated[int, typer.Option(help="Texts of a batch, of all processes.")] = 32,
    steps: Annotated[int, typer.Option(help="That are timed.")] = 60,
    rounds: Annotated[int, typer.Option()] = 5,
) -> None:
    """Compare one process with several."""
    work.mkdir(parents=True, exist_ok=True)
    given = {
        **{f"paths.{name}": corpus / name for name in ("train", "dev")},
        "paths.labels": corpus / "labels.json",
        "training.batcher.size": batch,
        "corpora.dev.limit": 50,
    }
    apart = compare_weights(config, work, given, processes)
    print(f"weights after {COMPARED} steps: at most {apart:.1e} apart")
    speeds: dict[int, list[float]] = {1: [], processes: []}
    for _ in range(rounds):
        for count, found in speeds.items():
            found.append(batch * steps / time_steps(config, work, given, count, steps))
    ratios = [many / one for one, many in zip(*speeds.values(), strict=True)]
    for count, found in speeds.items():
        print(f"{count} × one thread: {statistics.median(found):.0f} texts/s")
    print(f"{statistics.median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})")
    results = {"apart": apart, "texts_per_second": speeds, "ratios": ratios}
    (work / "processes.json").write_text(json.dumps(results, indent=1))


def time_steps(
    config: Path, work: Path, given: dict[str, Any], processes: int, steps: int
) -> float:
    """Seconds of so many steps."""
    seconds = []
    for length in (10, 10 + steps):
        start = time.perf_counter()
        train(config, work / "timed", given, processes, length)
        seconds.append(time.perf_counter() - start)
    return seconds[1] - seconds[0]


def compare_weights(config: Path, work: Path, given: dict[str, Any], processes: int) -> float:
    """The largest difference of a weight between one process and several."""
    still = work / "still"
    shutil.copytree(REPOSITORY / "assets" / "bert_small", still, dirs_exist_ok=True)
    settings = json.loads((still / "config.json").read_text())
    dropouts = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    (still / "config.json").write_text(json.dumps(settings | dropouts))
    given = given | {
        "paths.weights": still,
        "training.dropout": 0.0,
        "components.bert_textcat.model.backbone.mixed_precision": "false",
    }
    weights = []
    for count in (1, processes):
        folder = work / f"compared-{count}"
        train(config, folder, given, count, COMPARED)
        pipe: Any = spacy.load(folder / "model-last").get_pipe("bert_textcat")
        weights.append([one.weights.detach().numpy() for one in find_parameters([pipe.model])])
    return max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(*weights, strict=True))


def train(config: Path, folder: Path, given: dict[str, Any], processes: int, steps: int) -> None:
    """Run the command."""
    given = given | {
        "training.optimizer.learn_rate.total_steps": steps,
        "training.eval_frequency": steps,
    }
    overrides = [str(part) for key, value in given.items() for part in (f"--{key}", value)]
    command = [sys.executable, "-m", "spacy_bert_zh", "train", str(config), "-o", str(folder)]
    command += ["--force", "--processes", str(processes), *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    typer.run(main)
