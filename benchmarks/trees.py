"""A tree of labels beside flat ones, on event types: violations, and how well the leaves are told.

    python benchmarks/trees.py ../shared/data WORK
    python benchmarks/trees.py ../shared/data WORK --ngrams --length 65536 --steps 1500 --seeds 0

"tree" is `configs/trees.cfg`, "flat" `configs/multilabel.cfg` on the same texts with the same 74
labels (9 types and 65 of events), 80 % to learn from; nothing is set for the corpus. `--ngrams`
takes the n-grams of the default alone. The last model is measured, on the other 20 %. "own" are
thresholds that `calibrate` finds for F1: each half of the texts is decided by those of the other.
Every run is a process of its own; results stand in WORK/trees.jsonl as soon as they are there, and
a second call does only what is missing.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from accuracy import CORPORA, REPOSITORY, call, read, spread
from measures import decided, predict
from thinc.api import Config

from spacy_bert_zh.textcat import Tree

CONFIGS = {"flat": "multilabel", "tree": "trees"}
KEYS = ("violations", "decisions", "leaves", "leaves_own", "hierarchical", "exact_path")


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    work: Annotated[Path, typer.Argument(help="Folder for corpus, models and results.")],
    seeds: Annotated[str, typer.Option(help="Seeds, between commas.")] = "0,1,2",
    steps: Annotated[int, typer.Option(help="Of each training; 0 is the recipe's.")] = 0,
    ngrams: Annotated[bool, typer.Option(help="N-grams without a BERT.")] = False,
    length: Annotated[int, typer.Option(help="Rows of the n-grams' table.")] = 2**18,
    kinds: Annotated[str, typer.Option(help="Of " + ", ".join(CONFIGS))] = ",".join(CONFIGS),
) -> None:
    """Convert, run what is missing, then print the table."""
    corpus, results = work / "tree_of_events", work / "trees.jsonl"
    if not corpus.exists():
        events = CORPORA["events"]
        call("convert", data / events.source, corpus, *events.options, "--level-separator", "-")
    wanted = [
        {"kind": kind, "seed": int(seed), "steps": steps, "ngrams": ngrams, "length": length}
        for seed in seeds.split(",")
        for kind in kinds.split(",")
    ]
    for setup in wanted:
        if any(setup.items() <= row.items() for row in read(results)):
            continue
        row = {**setup, **run(corpus, work / "runs" / "_".join(map(str, setup.values())), setup)}
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    print(table([row for row in read(results) if any(s.items() <= row.items() for s in wanted)]))


def run(corpus: Path, folder: Path, setup: dict[str, Any]) -> dict[str, float]:
    """Train and measure once."""
    folder.mkdir(parents=True, exist_ok=True)
    config = Config().from_disk(
        REPOSITORY / "configs" / f"{CONFIGS[setup['kind']]}.cfg", interpolate=False
    )
    config["paths"] |= {name: str(corpus / name) for name in ("train", "dev")}
    config["paths"]["labels"] = str(corpus / "labels.json")
    if setup["kind"] == "tree":
        config["paths"]["taxonomy"] = str(corpus / "taxonomy.json")
    config["system"]["seed"] = setup["seed"]
    config["training"]["eval_frequency"] = 1_000_000  # one look, which decides nothing
    component = next(iter(config["components"].values()))
    component["model"]["linear_model"]["length"] = setup["length"]
    if setup["ngrams"]:
        component["model"] = {
            "@architectures": "spacy_bert_zh.NgramTextCat.v1",
            "exclusive_classes": False,
            "linear_rate": 1.0,
            "linear_model": component["model"]["linear_model"],
        }
    config.to_disk(folder / "config.cfg")
    key = "--training.optimizer.learn_rate.total_steps"
    given = [key, setup["steps"]] if setup["steps"] else []
    call("train", folder / "config.cfg", "--output", folder, *given)
    taxonomy = ["--taxonomy", corpus / "taxonomy.json"] if setup["kind"] == "flat" else []
    call("evaluate", folder / "model-last", corpus / "dev", folder / "evaluation", *taxonomy)
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text("utf-8"))
    tree = metrics["tree"]
    parents = json.loads((corpus / "taxonomy.json").read_text("utf-8"))
    leaves = Tree(sorted(metrics["classes"]), parents).leaves
    scores, gold = predict(folder / "model-last", corpus / "dev")
    return {
        "violations": tree["violations"]["scores"],
        "decisions": tree["violations"]["decisions"],
        "leaves": tree["leaves"]["macro"]["f1"],
        "leaves_interval": tree["intervals"]["leaves_macro_f1"],
        "leaves_own": decided(scores[:, leaves], gold[:, leaves])["macro_f1"],
        "hierarchical": tree["hierarchical"]["f1"],
        "exact_path": tree["exact_path"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over the seeds, in Markdown."""
    head = (
        "| labels | violations in scores | in decisions | leaves, macro F1 | with own thresholds "
        "| hierarchical F1 | exact path | seeds |"
    )
    lines = [head, "| --- " * 8 + "|"]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        found = [row for row in rows if row["kind"] == kind]
        cells = [spread(found, key) for key in KEYS]
        lines.append(f"| {kind} | {' | '.join(cells)} | {len(found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
