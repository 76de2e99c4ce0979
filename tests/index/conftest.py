"""A pipeline that has learnt a little, texts to add and texts to weigh by."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin

from tests.conftest import FACTORIES, make_examples, teach

Make = Callable[..., Language]


def write(path: Path, count: int, seed: int) -> Path:
    docs = [example.reference for example in make_examples(spacy.blank("zh"), count, seed)]
    path.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs).to_disk(path)
    return path


@pytest.fixture(params=FACTORIES)
def taught(request: pytest.FixtureRequest, make_pipeline: Make) -> Language:
    """Taught a little, so that neighbours can help."""
    nlp = make_pipeline(request.param, pooling="mean")
    teach(nlp, make_examples(nlp, 64), epochs=2)
    return nlp


@pytest.fixture
def given_files(taught: Language, tmp_path: Path) -> Path:
    """A pipeline, texts to add and texts to weigh by."""
    taught.to_disk(tmp_path / "pipeline")
    write(tmp_path / "train.spacy", 64, seed=0)
    write(tmp_path / "dev.spacy", 64, seed=7)
    return tmp_path


def cats(nlp: Language, texts: list[str]) -> np.ndarray:
    return np.asarray([[*doc.cats.values()] for doc in nlp.pipe(texts)])
