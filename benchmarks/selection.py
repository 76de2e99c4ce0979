"""How many labels `select` saves, against texts drawn by chance.

    python benchmarks/selection.py CORPUS/train CORPUS/dev WORK --seeds 0,1,2

Each seed begins with the same texts drawn by chance, whatever the strategy. A round adds what the
strategy takes from the rest, and trains anew by the default config and recipe. Dev is measured
after each round and decides nothing.
"""

import json
import random
import shutil
import statistics
from pathlib import Path
from typing import Annotated

import typer
from accuracy import REPOSITORY, call
from measures import label_of, measure_pipeline, read_docs
from spacy.tokens import Doc, DocBin

from spacy_bert_zh.select import Options, select


def main(
    train: Annotated[Path, typer.Argument(help="As `convert` writes it; labels exclude others.")],
    dev: Annotated[Path, typer.Argument(help="Texts to measure on.")],
    work: Annotated[Path, typer.Argument(help="Folder to work in.")],
    strategies: Annotated[str, typer.Option(help="Between commas.")] = "random,badge",
    sizes: Annotated[str, typer.Option(help="Labels after each round.")] = "200,350,500,700,1000",
    seeds: Annotated[str, typer.Option(help="Between commas.")] = "0,1,2",
) -> None:
    """Print a table in Markdown: accuracy on dev by number of labels."""
    docs = {doc.text: doc for doc in read_docs(train)}
    numbers = [int(size) for size in sizes.split(",")]
    print("| strategy |" + "".join(f" {size} |" for size in numbers))
    print("| --- |" + " --- |" * len(numbers))
    for strategy in strategies.split(","):
        runs = [measure(docs, dev, work, strategy, numbers, int(seed)) for seed in seeds.split(",")]
        cells = [
            f"{statistics.mean(at):.4f}" + (f" ± {statistics.stdev(at):.4f}" if len(at) > 1 else "")
            for at in zip(*runs, strict=True)
        ]
        print(f"| {strategy} | {' | '.join(cells)} |", flush=True)


def measure(
    docs: dict[str, Doc], dev: Path, work: Path, strategy: str, sizes: list[int], seed: int
) -> list[float]:
    """Accuracy after each round of one strategy."""
    folder = work / f"{strategy}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "labels.json").write_text(
        json.dumps(sorted({label_of(doc) for doc in docs.values()}), ensure_ascii=False)
    )
    chosen = random.Random(seed).sample(sorted(docs), sizes[0])
    found = []
    for size, following in zip(sizes, [*sizes[1:], 0], strict=True):
        DocBin(docs=[docs[text] for text in chosen]).to_disk(folder / f"{size}.spacy")
        learn(folder, size, dev, seed)
        found.append(measure_pipeline(folder / str(size) / "model-last", dev, True)["accuracy"])
        if following:
            chosen += take(docs, chosen, folder, size, following - size, strategy, seed)
    return found


def learn(folder: Path, size: int, dev: Path, seed: int) -> None:
    """Train as `train` does by itself."""
    overrides = {
        "paths.train": folder / f"{size}.spacy",
        "paths.dev": dev,
        "paths.labels": folder / "labels.json",
        "system.seed": seed,
        "training.eval_frequency": 1_000_000,
    }
    words = [word for key, value in overrides.items() for word in (f"--{key}", value)]
    config = REPOSITORY / "configs" / "ensemble.cfg"
    call("train", config, "--output", folder / str(size), "--force", *words)


def take(
    docs: dict[str, Doc],
    chosen: list[str],
    folder: Path,
    size: int,
    count: int,
    strategy: str,
    seed: int,
) -> list[str]:
    """What a strategy adds."""
    known = set(chosen)
    rest = [text for text in docs if text not in known]
    pool = folder / f"pool-{size}.jsonl"
    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in rest)
    pool.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    options = Options(format="jsonl", count=count, strategy=strategy, seed=seed)
    rows = select(folder / str(size) / "model-last", pool, folder / f"more-{size}", options).rows
    return [row["text"] for row in rows]


if __name__ == "__main__":
    typer.run(main)
