"""What texts without labels are worth: FewCLUE TNEWS, 240 labels and 20,000 texts without.

    python benchmarks/unlabelled.py ../shared/data WORK --splits 0 --seeds 0,1,2

The texts of a split of 240 are learnt from by the default config and recipe, without and with
`--unlabelled`; both are measured on the 945 labelled texts of the other splits. Nothing is chosen
on these: the texts that are learnt from stand as the dev corpus, too.
"""

import json
import shutil
import statistics
from pathlib import Path
from typing import Annotated

import typer
from accuracy import REPOSITORY, call
from measures import predict

FOLDER = "fewclue_tnews"


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    work: Annotated[Path, typer.Argument(help="Folder to work in.")],
    splits: Annotated[str, typer.Option(help="Of FewCLUE, 0 to 4, between commas.")] = "0",
    seeds: Annotated[str, typer.Option(help="Seeds, between commas.")] = "0,1,2",
    steps: Annotated[int, typer.Option(help="Of the second training; 0 fits them.")] = 0,
) -> None:
    """Print a table in Markdown."""
    print(
        "| split | seed | labels alone | and texts without | difference (95 %) |\n|" + " --- |" * 5
    )
    gains = []
    for split in splits.split(","):
        corpus = convert(data / FOLDER, work, split)
        for seed in seeds.split(","):
            output = work / f"run-{split}-{seed}"
            shutil.rmtree(output, ignore_errors=True)
            learn(corpus, data / FOLDER / "unlabeled.json", output, seed, steps)
            before, after = (
                right(path / "model-last", corpus / "dev") for path in (output / "teacher", output)
            )
            gain, half = compared(before, after)
            gains.append(gain)
            figures = f"{statistics.mean(before):.4f} | {statistics.mean(after):.4f}"
            print(f"| {split} | {seed} | {figures} | {gain:+.4f} ± {half:.4f} |", flush=True)
    print(f"\nmean difference {statistics.mean(gains):+.4f}")


def convert(folder: Path, work: Path, split: str) -> Path:
    """A split, and as dev all labelled texts that it lacks."""
    made, own = work / f"split-{split}", folder / f"train_{split}.json"
    if not made.exists():
        known = {json.loads(line)["sentence"] for line in own.read_text("utf-8").splitlines()}
        lines = (folder / "train_few_all.json").read_text("utf-8").splitlines()
        rest = [line for line in lines if json.loads(line)["sentence"] not in known]
        work.mkdir(parents=True, exist_ok=True)
        others = work / f"others-{split}.json"
        others.write_text("\n".join(rest), "utf-8")
        named = ("--text-columns", "sentence", "--label-column", "label_desc")
        call("convert", own, made, "--format", "jsonl", "--dev", others, *named)
    return made


def learn(corpus: Path, pool: Path, output: Path, seed: str, steps: int) -> None:
    """Train as `train --unlabelled` does by itself."""
    overrides = {
        "paths.train": corpus / "train",
        "paths.dev": corpus / "train",
        "paths.labels": corpus / "labels.json",
        "system.seed": seed,
        "training.eval_frequency": 1_000_000,
        **({"training.optimizer.learn_rate.total_steps": steps} if steps else {}),
    }
    words = [word for key, value in overrides.items() for word in (f"--{key}", value)]
    texts = ("--unlabelled", pool, "--format", "jsonl", "--text-columns", "sentence")
    call("train", REPOSITORY / "configs" / "ensemble.cfg", "--output", output, *texts, *words)


def right(pipeline: Path, corpus: Path) -> list[bool]:
    """Of each text whether its label is found."""
    scores, gold = predict(pipeline, corpus)
    return [bool(row[place]) for row, place in zip(gold, scores.argmax(1), strict=True)]


def compared(before: list[bool], after: list[bool]) -> tuple[float, float]:
    """The difference of two accuracies on the same texts, and half of its interval."""
    differences = [b - a for a, b in zip(before, after, strict=True)]
    return statistics.mean(differences), 1.96 * statistics.stdev(differences) / len(before) ** 0.5


if __name__ == "__main__":
    typer.run(main)
