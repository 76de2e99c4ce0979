"""Runs of one config, and what a pipeline says."""

from pathlib import Path

import numpy as np
import pytest
from spacy.language import Language

from tests.conftest import run_cli

TEXTS = ["好吃，会再来", "难吃，退款", "", "味道一般" * 40]


@pytest.fixture(scope="session")
def runs(corpus: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the default config from one checkpoint, with different seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        overrides = {
            "paths.train": corpus / "train",
            "paths.dev": corpus / "dev",
            "paths.labels": corpus / "labels.json",
            "paths.weights": checkpoint,
            "system.seed": seed,
            "components.bert_textcat.model.backbone.max_length": 32,
            "components.bert_textcat.model.linear_model.length": 512,
            "training.optimizer.learn_rate.total_steps": 30,
        }
        words = [word for key, value in overrides.items() for word in (f"--{key}", value)]
        run_cli("train", "configs/ensemble.cfg", "--output", folder / str(seed), "--force", *words)
    return [folder / str(seed) / "model-last" for seed in (0, 1)]


def scores(pipeline: Language) -> np.ndarray:
    """Of TEXTS; shape (texts, labels)."""
    return np.asarray([list(doc.cats.values()) for doc in pipeline.pipe(TEXTS)])
