"""What several runs are worth as one pipeline: a soup, and a committee, against their mean.

    python benchmarks/ensemble.py CORPUS/dev RUN RUN RUN RUN RUN
    python benchmarks/ensemble.py CORPUS/dev RUN RUN RUN RUN RUN --student STUDENT

Each half of the texts chooses (which runs, what shares) for the other, so that nothing is measured
on texts that chose. Intervals are of the difference to the mean of the runs, by bootstrap over
texts. A student is what `distill RUN RUN RUN RUN RUN` has made; it learns the runs' plain mean.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import typer
from numpy.typing import NDArray
from spacy.tokens import DocBin

from spacy_bert_zh.ensemble import ensemble
from spacy_bert_zh.evaluate import predict, read_shards
from spacy_bert_zh.loading import find_textcat, load_pipeline

METHODS = ("soup", "committee")
STUDENT = "student"
SAMPLES = 2_000


def main(
    texts: Annotated[Path, typer.Argument(help="Converted texts that no run has learnt from.")],
    runs: Annotated[list[str], typer.Argument(help="Trained pipelines.")],
    student: Annotated[Path | None, typer.Option(help="A pipeline that they have taught.")] = None,
) -> None:
    """Print what was measured, as JSON."""
    docs = list(read_shards(spacy.blank("zh"), texts))
    halves = np.array_split(np.random.default_rng(0).permutation(len(docs)), 2)
    right: dict[str, NDArray[np.float64]] = {
        name: np.zeros(len(docs)) for name in ("runs", *METHODS)
    }
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.spacy" for number in range(2)]
        for file, rows in zip(files, halves, strict=True):
            DocBin(docs=[docs[row] for row in rows], store_user_data=True).to_disk(file)
        for rows, own, others in zip(halves, files, files[::-1], strict=True):
            right["runs"][rows] = np.mean([judge(run, own) for run in runs], axis=0)
            for method in METHODS:
                made = Path(folder) / "one"
                ensemble(runs, made, others, method=method)  # type: ignore[arg-type]
                right[method][rows] = judge(made, own)
    if student:
        right[STUDENT] = judge(student, texts)
    print(json.dumps({"texts": len(docs), "runs": len(runs), **compare(right)}, indent=2))


def judge(pipeline: str | Path, texts: Path) -> NDArray[np.float64]:
    """Whether each text is answered right as a whole."""
    nlp = load_pipeline(pipeline)
    said = predict(nlp, find_textcat(nlp, None), texts)
    found: NDArray[np.float64] = (said.gold == said.predicted).all(1).astype(float)
    return found


def compare(right: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Accuracy of the runs in the mean, and of what was made of them with its gain."""
    rng, count = np.random.default_rng(0), len(right["runs"])
    drawn = rng.integers(0, count, (SAMPLES, count))
    found: dict[str, Any] = {"mean_of_runs": round(float(right["runs"].mean()), 4)}
    for method in [name for name in right if name != "runs"]:
        gain = 100 * (right[method] - right["runs"])
        low, high = np.percentile(gain[drawn].mean(1), [2.5, 97.5]).round(2).tolist()
        found[method] = {
            "accuracy": round(float(right[method].mean()), 4),
            "points": round(float(gain.mean()), 2),
            "interval": [low, high],
        }
    return found


if __name__ == "__main__":
    typer.run(main)
