"""Pipelines, metrics and reports to package, and a Python outside the repository."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import spacy
from spacy.training import Example

REPOSITORY = Path(__file__).parents[2]
LABELS = ("财经", "体育")
METRICS = {
    "corpus": {"name": "test.spacy", "texts": 1200},
    "accuracy": 0.9125,
    "averages": {"macro": {"f1": 0.8875}},
    "classes": {
        "财经": {"precision": 0.9, "recall": 0.8, "f1": 0.847, "support": 700},
        "体育": {"precision": 0.95, "recall": 0.97, "f1": 0.96, "support": 500},
    },
}
REPORT = {
    "input": "/home/someone/thucnews",
    "rows": {"read": 5010, "written": 5000, "rejected": 10},
    "splits": {"train": {"rows": 4000, "labels": {"财经": 2500, "体育": 1500}}},
    "labels": ["财经", "体育"],
    "rejected": {"duplicate": 7, "empty": 3},
}


def make_pipeline(folder: Path, factory: str, config: dict[str, object] | None = None) -> Path:
    """Save a pipeline with initialised, untrained weights."""
    nlp = spacy.blank("zh")
    nlp.add_pipe(factory, config=config or {})
    cats = {label: float(label == LABELS[0]) for label in LABELS}
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("股票大涨"), {"cats": cats})])
    nlp.config["paths"]["train"] = str(folder.parent / "train")
    nlp.to_disk(folder)
    return folder


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tempfile.gettempdir(),  # in the repository, `-m` would take the plugin from there
        env={**os.environ, "PYTHONUTF8": "1", **variables},
        capture_output=True,
        encoding="utf-8",
    )
