"""Speed and memory beside the peers: same weights, texts, threads and machine, in one run.

    python benchmarks/speed.py ../shared/data

Each peer has a process of its own (`peers.py`); they take turns, so that whatever else slows
the machine slows all of them. Ratios are medians over the turns, with the least and the most.
"""

import csv
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from figures import matmul_peak, picture, ratios, summary, table, work

from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.files.outputs import whole
from spacy_bert_zh.pieces.encoder import EMBEDDED
from spacy_bert_zh.untrusted import read_json

HERE = Path(__file__).parent
LABELS = 10
SHOP = "online_shopping_10_cats/online_shopping_10_cats.csv"
# Headlines, reviews and one long document; how many of each a turn takes for each size of model.
COUNTS = {
    "small": {"headlines": 512, "reviews": 128, "long": 1},
    "tinybert": {"headlines": 512, "reviews": 128},
    "base": {"headlines": 64},
}
# Shapes beside the one that ships, with random weights; tinybert is TinyBERT's (arXiv 1909.10351).
SHAPES = {
    "tinybert": (4, 312, 12, 1200),
    "base": (12, 768, 12, 3072),
}
CLASSIFIERS = "ours,bf16,stock,transformers,pipeline,bow"
TRAINERS = "ours,bf16,stock,transformers"
LATENCY = "ours,stock,pipeline,forward"
GROWTH = (2_000, 200_000)
AMOUNTS, LONGEST = (1_000, 10_000, 100_000, 1_000_000), 600
"""Texts of `amounts`; none that would take longer than so many seconds."""
READINGS = 4

app = typer.Typer()


@dataclass
class Peer:
    """A running process and what it said when it was ready."""

    name: str
    process: subprocess.Popen[str]
    load: float

    def ask(self, what: str, texts: Path) -> dict[str, Any]:
        """Let it work, and wait for its answer."""
        assert self.process.stdin
        print(json.dumps({"do": what, "texts": str(texts)}), file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"The process of '{self.name}' has ended: see its messages above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def start(name: str, checkpoint: Path, device: str, threads: int) -> Peer:
    """Start a peer and wait until it has loaded."""
    words = [sys.executable, str(HERE / "peers.py"), name, str(checkpoint), device, str(LABELS)]
    number = str(threads)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": number,
        "TF_NUM_INTRAOP_THREADS": number,
        "TF_NUM_INTEROP_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    peer = Peer(name.partition("=")[0], process, 0.0)
    peer.load = peer._read()["load"]
    return peer


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    size: Annotated[
        str, typer.Option(help="small (the one that ships), tinybert or base (random).")
    ] = "small",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Of each process.")] = 1,
    repeats: Annotated[int, typer.Option(help="Turns.")] = 5,
    only: Annotated[
        str, typer.Option(help="Parts: texts, single, training, growth, amounts.")
    ] = "texts,single",
    peers: Annotated[
        str,
        typer.Option(help="Instead of all that a part has; cascade=FOLDER is a trained pipeline."),
    ] = "",
) -> None:
    """Measure, print the table, and write results/<machine>.json."""
    target = HERE / "results" / f"{machine(device)}.json"
    results = read_json(target) if target.exists() else {}
    with TemporaryDirectory() as folder:
        checkpoint = EMBEDDED if size == "small" else random_weights(size, Path(folder))
        inputs = write_inputs(data, COUNTS[size], Path(folder))
        setting = {"checkpoint": checkpoint, "device": device, "threads": threads}
        for part in only.split(","):
            key = f"{size}, {threads} thread{'s' * (threads > 1)}, {part}"
            results[key] = {
                **PARTS[part](setting, inputs, repeats, [n for n in peers.split(",") if n]),
                "peak_gflops": matmul_peak(device, threads),
            }
            with whole(target) as file:
                file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
            print(f"\n{key}\n{table(results[key])}", flush=True)
    if any("inputs" in result for result in results.values()):
        target.with_suffix(".svg").write_text(picture(results), "utf-8")


def machine(device: str) -> str:
    """A short name of the hardware, for the file of results."""
    import torch

    if device != "cpu":
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
        names = [line.split(":")[1] for line in lines if line.startswith("model name")]
        # Processors of several generations call themselves the same.
        units = torch.backends.cpu.get_cpu_capability()
        name = f"{os.cpu_count()} {names[0] if names else platform.machine()} {units}"
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def random_weights(size: str, folder: Path) -> Path:
    """A BERT of another shape with random weights and the vocabulary that ships."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = load_tokenizer(EMBEDDED)
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    shape = dict(zip(names, SHAPES[size], strict=True))
    BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **shape)).save_pretrained(
        folder / size
    )
    for file in EMBEDDED.glob("*token*"):
        (folder / size / file.name).write_bytes(file.read_bytes())
    (folder / size / "vocab.txt").write_bytes((EMBEDDED / "vocab.txt").read_bytes())
    return folder / size


def write_inputs(data: Path, counts: dict[str, int], folder: Path) -> dict[str, Path]:
    """Draw the texts of each kind, always the same ones."""
    headlines = [
        line.split("\t")[0]
        for line in (data / "thucnews10" / "dev.txt").read_text("utf-8").splitlines()
    ]
    with open(data / SHOP, encoding="utf-8-sig", newline="") as file:
        reviews = [row["review"] for row in csv.DictReader(file) if 5 <= len(row["review"]) <= 3000]
    pools = {"headlines": headlines, "reviews": reviews, "long": ["".join(reviews)[:20_000]]}
    rng = random.Random(0)
    paths = {}
    for name, count in counts.items():
        paths[name] = folder / f"{name}.json"
        chosen = rng.sample(pools[name], count)
        paths[name].write_text(json.dumps(chosen, ensure_ascii=False), "utf-8")
    return paths


def texts(setting: Any, inputs: Any, repeats: int, names: list[str]) -> dict[str, Any]:
    """Texts a second of each peer on each input, in turns."""
    peers = [start(name, **setting) for name in names or CLASSIFIERS.split(",")]
    rows: dict[str, Any] = {}
    for kind, path in inputs.items():
        pieces, gflop = work(json.loads(path.read_text("utf-8")), setting["checkpoint"])
        count = len(json.loads(path.read_text("utf-8")))
        taken: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
        for turn in range(repeats + 1):
            for peer in peers:
                answer = peer.ask("classify", path)
                if turn:  # the first one warms up
                    taken[peer.name].append(answer)
        rows[kind] = {
            "texts": count,
            "pieces": pieces,
            "gflop": gflop,
            "peers": {name: summary(answers, count) for name, answers in taken.items()},
        }
        rows[kind]["ratios"] = ratios(taken)
    stop(peers)
    return {"inputs": rows, "load": {peer.name: round(peer.load, 2) for peer in peers}}


def single(setting: Any, inputs: Any, repeats: int, names: list[str]) -> dict[str, Any]:
    """Milliseconds for one headline at a time."""
    peers = [start(name, **setting) for name in names or LATENCY.split(",")]
    taken: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for turn in range(repeats + 1):
        for peer in peers:
            seconds = peer.ask("single", inputs["headlines"])["seconds"]
            if turn:
                taken[peer.name] += seconds
    stop(peers)
    return {
        "milliseconds": {
            name: {f"p{p}": round(1e3 * float(np.percentile(all_, p)), 2) for p in (50, 99)}
            for name, all_ in taken.items()
        }
    }


def training(setting: Any, inputs: Any, repeats: int, names: list[str]) -> dict[str, Any]:
    """Texts a second of training on headlines."""
    peers = [start(name, **setting) for name in names or TRAINERS.split(",")]
    path = inputs["headlines"]
    count = len(json.loads(path.read_text("utf-8")))
    taken: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    for turn in range(repeats + 1):
        for peer in peers:
            answer = peer.ask("train", path)
            if turn:
                taken[peer.name].append(answer)
    stop(peers)
    return {
        "inputs": {
            "training": {
                "texts": count,
                "peers": {name: summary(answers, count) for name, answers in taken.items()},
                "ratios": ratios(taken),
            }
        }
    }


def growth(setting: Any, inputs: Any, repeats: int, names: list[str]) -> dict[str, Any]:
    """Resident memory of a process after some texts and after many.

    The median of the last readings, 512 texts apart: it swings with what was freed just before.
    """
    headlines = json.loads(inputs["headlines"].read_text("utf-8"))
    path = inputs["headlines"].with_name("growth.json")
    found: dict[str, dict[str, int]] = {}
    for name in names or ["ours"]:
        peer, done, sizes = start(name, **setting), 0, {}
        readings: list[int] = []
        for target in GROWTH:
            while done < target:
                # Every text is new, or they would be computed once.
                part = [f"{text} {done + i}" for i, text in enumerate(headlines)]
                path.write_text(json.dumps(part[: target - done], ensure_ascii=False), "utf-8")
                readings.append(peer.ask("classify", path)["resident"])
                done += min(len(part), target - done)
            sizes[f"{target:,}"] = round(statistics.median(readings[-READINGS:]))
        stop([peer])
        found[name] = sizes
    return {"resident": found}


def amounts(setting: Any, inputs: Any, repeats: int, names: list[str]) -> dict[str, Any]:
    """Texts a second as the texts become more, and the share that reaches a cascade's network.

    The same headlines again and again with a number: no text is read twice.
    """
    headlines = json.loads(inputs["headlines"].read_text("utf-8"))
    path = inputs["headlines"].with_name("amounts.json")
    found: dict[str, Any] = {}
    for name in names or ["ours"]:
        peer = start(name, **setting)
        rates, seconds = dict[str, float](), 0.0
        if "=" in name:
            found[f"{peer.name}, reached"] = peer.ask("reached", inputs["headlines"])["reached"]
        for last, amount in zip((1, *AMOUNTS), AMOUNTS, strict=False):
            if seconds / last * amount > LONGEST:
                break
            texts = [f"{headlines[i % len(headlines)]} {i}" for i in range(amount)]
            path.write_text(json.dumps(texts, ensure_ascii=False), "utf-8")
            (seconds,) = peer.ask("classify", path)["seconds"]
            rates[f"{amount:,}"] = round(amount / seconds, 1)
        stop([peer])
        found[peer.name] = rates
    return {"amounts": found}


def stop(peers: list[Peer]) -> None:
    """End the processes."""
    for peer in peers:
        assert peer.process.stdin
        peer.process.stdin.close()
        peer.process.wait()


PARTS = {
    "texts": texts,
    "single": single,
    "training": training,
    "growth": growth,
    "amounts": amounts,
}


if __name__ == "__main__":
    app()
