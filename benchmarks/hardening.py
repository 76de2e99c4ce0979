"""How much longer a training takes with each way of hardening: seconds of CPU for the same steps.

    python benchmarks/hardening.py CORPUS/train

The ways take turns, batch by batch, so that whatever else the machine does meets all of them; CPU
time of this process, on one thread (OMP_NUM_THREADS=1), doesn't count what others use.
"""

import time
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from spacy.language import Language
from spacy.training import Corpus

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "r_drop": {"r_drop": 1.0},
    "fgm": {"adversarial": "fgm"},
    "pgd": {"adversarial": "pgd"},
    "freelb": {"adversarial": "freelb"},
}
BATCH = 32
WARMUP = 2
"""Steps that aren't counted."""


def main(
    train: Annotated[Path, typer.Argument(help="Training texts.")],
    steps: Annotated[int, typer.Option(help="Steps of each way.")] = 20,
) -> None:
    """Print a table in Markdown."""
    pipelines = {name: _make(train, setting) for name, setting in WAYS.items()}
    spent = defaultdict[str, float](float)
    for step in range(WARMUP + steps):
        for name, (nlp, optimizer) in pipelines.items():
            corpus = Corpus(train)(nlp)
            examples = list(islice(corpus, step * BATCH, (step + 1) * BATCH))
            begun = time.process_time()
            nlp.update(examples, sgd=optimizer, drop=0.1)
            spent[name] += (time.process_time() - begun) * (step >= WARMUP)
    print("| | ms of CPU a step | times plain |\n| --- | ---: | ---: |")
    for name, seconds in spent.items():
        print(f"| {name} | {1000 * seconds / steps:.0f} | {seconds / spent['plain']:.2f} |")


def _make(train: Path, setting: dict[str, Any]) -> tuple[Language, Any]:
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("zh")
    nlp.add_pipe("bert_textcat", config=setting)
    return nlp, nlp.initialize(lambda: islice(Corpus(train)(nlp), 500))


if __name__ == "__main__":
    typer.run(main)
