"""Training in several processes beside one: texts a second, and how far the weights are apart.

    python benchmarks/processes.py CORPUS WORK
    python benchmarks/processes.py CORPUS WORK --config configs/torch.cfg --processes 4 --batch 64

Both are the command `train`, with one thread for each process and the same batches, and take turns.
A step's time runs from its beginning to the next one's, so that start, evaluations and saving are
left out. The ratio is that of the medians over all steps of all rounds, which other work on the
machine hardly moves; the least and the most of the rounds stand beside it. "Apart" are as many
trainings of one process, at once, each with its share of a batch, that have nothing to do with each
other: more than that the machine doesn't give. The weights are those after 50 steps in float32
without any dropout. Results: WORK/processes.json.
"""

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

os.environ |= {"OMP_NUM_THREADS": "1", "USE_TF": "0"}

import numpy as np
import spacy
import typer

from spacy_bert_zh.train.gradients import find_parameters

REPOSITORY = Path(__file__).parents[1]
CLOCK = Path(__file__).with_name("step_clock.py")
COMPARED = 50
WARM = 5


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
    share = given | {"training.batcher.size": batch // processes}
    ways = {
        "1 process": partial(time_steps, config, work / "timed", given, 1, steps),
        f"{processes} processes": partial(
            time_steps, config, work / "timed", given, processes, steps
        ),
        f"{processes} apart": partial(time_apart, config, work, share, processes, steps),
    }
    times: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, found in times.items():
            found.append(ways[name]())
            print(f"{name}: {1000 * statistics.median(found[-1]):.0f} ms a step", flush=True)
    one, *others = times
    for name in others:
        ratios = [ratio(alone, many) for alone, many in zip(times[one], times[name], strict=True)]
        whole = ratio(*([*itertools.chain(*times[key])] for key in (one, name)))
        print(f"{name}: {whole:.2f} × ({min(ratios):.2f} to {max(ratios):.2f})")
    results = {"apart": apart, "seconds": times}
    (work / "processes.json").write_text(json.dumps(results, indent=1))


def ratio(one: list[float], many: list[float]) -> float:
    """How many times as many steps the second does in the same time."""
    return statistics.median(one) / statistics.median(many)


def time_steps(
    config: Path, folder: Path, given: dict[str, Any], processes: int, steps: int
) -> list[float]:
    """Seconds of each step, without the first ones."""
    clock = folder.with_suffix(".txt")
    clock.unlink(missing_ok=True)
    callback = {"@callbacks": "step_clock.v1", "path": str(clock)}
    timed = given | {"training.before_update": json.dumps(callback)}
    train(config, folder, timed, processes, WARM + steps, "--code", str(CLOCK))
    starts = [float(line) for line in clock.read_text().splitlines()]
    return [after - before for before, after in itertools.pairwise(starts[WARM : WARM + steps])]


def time_apart(
    config: Path, work: Path, given: dict[str, Any], count: int, steps: int
) -> list[float]:
    """The same of so many trainings at once, which know nothing of each other."""

    def time_one(number: int) -> list[float]:
        return time_steps(config, work / f"apart-{number}", given, 1, steps)

    with ThreadPoolExecutor(count) as pool:
        return [*itertools.chain(*pool.map(time_one, range(count)))]


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


def train(
    config: Path, folder: Path, given: dict[str, Any], processes: int, steps: int, *options: str
) -> None:
    """Run the command."""
    given = given | {
        "training.optimizer.learn_rate.total_steps": steps,
        "training.eval_frequency": steps,
    }
    overrides = [str(part) for key, value in given.items() for part in (f"--{key}", value)]
    command = [sys.executable, "-m", "spacy_bert_zh", "train", str(config), "-o", str(folder)]
    command += ["--force", "--processes", str(processes), *options, *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    typer.run(main)
