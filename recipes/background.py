"""Makes assets/background/ngrams.safetensors: how often n-grams are in Chinese of other kinds.

    python recipes/background.py DATA/corpus assets/background

`calibrate` weighs the n-grams of training texts against these (see docs/calibrate.md). Two kinds
of text, each from one file of the corpus: what people write to each other (v2ex) and headlines
(multi_hot); 40,000 lines of each, drawn with a fixed seed, their first 60 characters.
"""

import lzma
import random
from pathlib import Path

import numpy as np
import typer
from safetensors.numpy import save_file

from spacy_bert_zh.textcat.unlike import NGRAM_SIZE, ROWS, count

KINDS = ("v2ex", "multi_hot")
LINES, CHARACTERS, SHORTEST = 40_000, 60, 6


def main(corpus: Path, output: Path) -> None:
    """Write the table."""
    counts = [count(_lines(corpus / f"{kind}.txt.xz"), NGRAM_SIZE, ROWS) for kind in KINDS]
    output.mkdir(exist_ok=True)
    save_file({"counts": np.stack(counts).astype(np.uint32)}, output / "ngrams.safetensors")


def _lines(path: Path) -> list[str]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        lines = [line.strip()[:CHARACTERS] for line in file]
    lines = [line for line in lines if len(line) >= SHORTEST]
    return random.Random(1).sample(lines, min(LINES, len(lines)))


if __name__ == "__main__":
    typer.run(main)
