"""What `speed.py` makes of times: work, peak and ratios; a table and a picture."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.plots import bars, to_svg
from spacy_bert_zh.untrusted import read_json

PEAK = """
import sys, time, torch
a = torch.randn(2048, 2048, device=sys.argv[1])
times = []
for _ in range(10):
    begin = time.perf_counter()
    (a @ a)[0, 0].item()
    times.append(time.perf_counter() - begin)
print(2 * 2048**3 / min(times) / 1e9)
"""


def work(texts: list[str], checkpoint: Path) -> tuple[int, float]:
    """The texts' word pieces with [CLS] and [SEP], and the GFLOP to encode them unpadded.

    Every matrix product of the layers, as in `spacy_bert_zh.pretrain.network.flops`; texts
    longer than 512 pieces attend within 512.
    """
    config = read_json(checkpoint / "config.json")
    lengths = [
        len(e.ids) + 2
        for e in load_tokenizer(checkpoint).encode_batch_fast(texts, add_special_tokens=False)
    ]
    hidden, inner = config["hidden_size"], config.get("intermediate_size", 3072)
    piece = 4 * hidden * hidden + 2 * hidden * inner
    attention = sum(2 * n * min(n, 512) * hidden for n in lengths)
    layers = config["num_hidden_layers"]
    return sum(lengths), 2 * layers * (piece * sum(lengths) + attention) / 1e9


def matmul_peak(device: str, threads: int) -> float:
    """GFLOP a second of a large float32 matrix product: the best of ten."""
    words = [sys.executable, "-c", PEAK, device]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    out = subprocess.run(words, env=environment, capture_output=True, check=True)
    return round(float(out.stdout), 1)


def summary(answers: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """Median, least and most texts a second, and memory."""
    speeds = [count / answer["seconds"][0] for answer in answers]
    return {
        "texts_per_second": round(statistics.median(speeds), 2),
        "least": round(min(speeds), 2),
        "most": round(max(speeds), 2),
        "peak_megabytes": round(answers[-1]["peak"] / 1e6),
    }


def picture(results: dict[str, Any]) -> str:
    """Texts a second of every peer on every input, as bars; each input has a scale of its own."""
    names, shares, notes = [], [], []
    for key, result in results.items():
        for kind, row in result.get("inputs", {}).items():
            # The bag of words is for scale and would leave nothing to see of the others.
            speeds = {n: p["texts_per_second"] for n, p in row["peers"].items() if n != "bow"}
            for name, speed in speeds.items():
                names.append(f"{key.split(',')[0]} {kind}: {name}")
                shares.append(speed / max(speeds.values()))
                notes.append(f"{speed:,.1f}")
    return to_svg(bars(names, shares, notes, "texts a second (bars: share of the fastest)"))


def ratios(taken: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    """How many times faster than each other peer we were, turn by turn: median, least, most."""
    found = {}
    for name, answers in taken.items():
        if name == "ours" or "ours" not in taken:
            continue
        turns = [
            b["seconds"][0] / a["seconds"][0] for a, b in zip(taken["ours"], answers, strict=True)
        ]
        found[name] = [round(f(turns), 2) for f in (statistics.median, min, max)]
    return found


def table(result: dict[str, Any]) -> str:
    """One part of the results in Markdown."""
    if "inputs" not in result:
        return json.dumps({k: v for k, v in result.items() if k != "peak_gflops"})
    lines = ["| input | peer | texts/s | pieces/s | of the peak | ours is faster by | memory |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for kind, row in result["inputs"].items():
        for name, peer in row["peers"].items():
            speed = peer["texts_per_second"]
            per_text = speed / row["texts"]
            pieces = f"{row['pieces'] * per_text:,.0f}" if "pieces" in row else "–"
            share = row["gflop"] * per_text / result["peak_gflops"] if "gflop" in row else None
            ratio = row["ratios"].get(name)
            cells = [
                kind,
                name,
                f"{speed:,.1f} ({peer['least']:,.1f}–{peer['most']:,.1f})",
                pieces,
                f"{share:.0%}" if share is not None and name != "bow" else "–",
                f"{ratio[0]:.2f} ({ratio[1]:.2f}–{ratio[2]:.2f})" if ratio else "–",
                f"{peer['peak_megabytes']:,} MB",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
