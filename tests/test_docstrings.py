"""Examples in docstrings: what they show is what happens."""

import doctest
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from spacy.language import Language

from tests.conftest import REPOSITORY, initialized, make_rows

PACKAGE = REPOSITORY / "spacy_bert_zh"
MODULES = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_pipeline: Callable[..., Language],
    corpus: Path,
) -> Path:
    """The folder that the examples are run in: a table, a converted corpus and a pipeline."""
    lines = ["text,label", *(f"{text},{label}" for text, label in make_rows(40))]
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n", "utf-8")
    faq = "question,answer\n怎么退款,三天之内\n几点开门,早上八点\n"
    (tmp_path / "faq.csv").write_text(faq, "utf-8")
    shutil.copytree(corpus, tmp_path / "corpus")
    nlp = make_pipeline()
    initialized(nlp, ["neg", "pos"])
    (tmp_path / "training").mkdir()
    nlp.to_disk(tmp_path / "training" / "model-best")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name: str, folder: Path) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed
