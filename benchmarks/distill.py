"""Students beside their teacher: accuracy, the labels they share, texts a second.

    python benchmarks/distill.py TEACHER CORPUS WORK
    python benchmarks/distill.py TEACHER CORPUS WORK --students ngrams,layers=2 --unlabelled TEXTS
    python benchmarks/distill.py TEACHER CORPUS WORK --students layers=2 --parts

CORPUS is what `convert` made; its dev texts are measured, by the last model of each training,
never the best one on the measured texts. The teacher is asked once. "gold" beside a student is the
same one trained by the gold labels alone. `--parts` makes texts without labels of the training
texts that have several sentences: both halves, and of four or more every other one.
Speed is that of `nlp.pipe` in one thread, in seconds of the processor, the median of five rounds in
which all pipelines take turns.
Results stand in WORK/results.json.
"""

import json
import os
import re
import statistics
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import spacy
import typer
from turns import take_turns

from spacy_bert_zh.distill import distill
from spacy_bert_zh.evaluate import Predictions, interval, predict, read_shards, resample
from spacy_bert_zh.loading import find_textcat, load_pipeline

TIMED = 2_000
SENTENCE = re.compile(r"(?<=[.。;；!?！？])")
SHORT = 10


def main(
    teacher: Annotated[str, typer.Argument(help="A trained pipeline.")],
    corpus: Annotated[Path, typer.Argument(help="Folder that `convert` made.")],
    work: Annotated[Path, typer.Argument(help="Folder for pipelines and results.")],
    students: Annotated[str, typer.Option(help="Between commas.")] = "ngrams",
    unlabelled: Annotated[Path | None, typer.Option(help="Further texts, one a line.")] = None,
    parts: Annotated[
        bool, typer.Option(help="As --unlabelled: parts of the training texts.")
    ] = False,
    temperature: float = 1.0,
    gold_share: float = 0.3,
    gold: Annotated[bool, typer.Option(help="Also train by the gold labels alone.")] = True,
    minutes: Annotated[float, typer.Option(help="Of each training; 0: no limit.")] = 0.0,
) -> None:
    """Train students, and measure them beside their teacher."""
    if parts:
        work.mkdir(parents=True, exist_ok=True)
        unlabelled = work / "parts.txt"
        unlabelled.write_text("".join(f"{part}\n" for part in parts_of(corpus / "train")), "utf-8")
    pipelines = {"teacher": load_pipeline(teacher)}
    for student in students.split(","):
        shares = {student: gold_share} | ({f"{student}, gold": 1.0} if gold else {})
        for name, share in shares.items():
            distill(
                *([teacher], work / "student", corpus),
                unlabelled=unlabelled,
                student=student,
                temperature=temperature,
                gold_share=share,
                minutes=minutes,
                force=True,
            )
            pipelines[name] = load_pipeline(work / "student" / "model-last")
            pipelines[name].to_disk(work / name)
    said = {
        name: predict(nlp, find_textcat(nlp, None), corpus / "dev")
        for name, nlp in pipelines.items()
    }
    docs = islice(read_shards(pipelines["teacher"], corpus / "dev"), TIMED)
    texts = [doc.text for doc in docs]
    seconds = take_turns(pipelines, texts)
    speeds = {name: len(texts) / statistics.median(taken) for name, taken in seconds.items()}
    results = {name: measure(said[name], said["teacher"], speeds[name]) for name in pipelines}
    (work / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    for name, row in results.items():
        print(
            f"{name:20} accuracy {row['accuracy']:.4f}, of the teacher's {row['kept']:.1%} "
            f"({row['kept_low']:.1%} to {row['kept_high']:.1%}), as the teacher "
            f"{row['agreement']:.4f}, {row['texts_a_second']:,.0f} texts/s"
        )


def parts_of(corpus: Path) -> Iterator[str]:
    """Parts of texts, on one line each."""
    for doc in read_shards(spacy.blank("zh"), corpus):
        sentences = [one for one in SENTENCE.split(doc.text) if one.strip()]
        half = len(sentences) // 2
        some = [sentences[:half], sentences[half:]] if half else []
        some += [sentences[1::2]] if half > 1 else []
        lines = (" ".join("".join(one).split()) for one in some)
        yield from (line for line in lines if len(line) >= SHORT)


def measure(found: Predictions, teacher: Predictions, speed: float) -> dict[str, Any]:
    """Shares of texts whose labels are all right, and all the teacher's.

    "kept" is the accuracy in that of the teacher, with its interval of 95 %: a paired bootstrap.
    """
    right = [(one.predicted == one.gold).all(axis=1) for one in (found, teacher)]
    sums = resample(np.stack(right, axis=1).astype(float))
    low, high = interval(sums[:, 0] / sums[:, 1])
    return {
        "texts": len(found.gold),
        "accuracy": float(right[0].mean()),
        "kept": float(right[0].sum() / right[1].sum()),
        "kept_low": low,
        "kept_high": high,
        "agreement": float((found.predicted == teacher.predicted).all(axis=1).mean()),
        "texts_a_second": speed,
    }


if __name__ == "__main__":
    typer.run(main)
