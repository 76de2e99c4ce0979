"""Pipelines of spaCy's own, trained for a moment, and corpora to evaluate them on."""

from pathlib import Path

import pytest
import spacy

from tests.evaluate.tiny import ATTACK, FACTORIES, LABELS, make_rows, train, write_shard


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pipelines")
    for factory in FACTORIES:
        train(factory).to_disk(folder / factory)
    train(*FACTORIES).to_disk(folder / "both")
    spacy.blank("zh").to_disk(folder / "none")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each factory a folder of two shards."""
    folder = tmp_path_factory.mktemp("corpora")
    for factory in FACTORIES:
        rows = make_rows(1, factory == "textcat")
        if factory == "textcat_multilabel":
            rows.append(("球队，芯片", {LABELS[0]: 0.0, LABELS[1]: 1.0}))  # the others: unknown
        else:
            rows.append((ATTACK, {LABELS[0]: 0.9, LABELS[1]: 0.1}))  # soft, and mistaken
        write_shard(folder / factory / "dev-0.spacy", rows[:30])
        write_shard(folder / factory / "dev-1.spacy", rows[30:])
    return {path.name: path for path in folder.iterdir()}
