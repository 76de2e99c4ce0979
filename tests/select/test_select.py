"""Which texts of a pool are selected, what is written of them, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.reading.overlap import Overlap
from spacy_bert_zh.select import STRATEGIES, Options, select
from spacy_bert_zh.select.pool import gather
from spacy_bert_zh.select.strategies import badge, unsureness
from tests.conftest import make_rows, run_cli

SPECIAL = "完全不一样的一段话，谁也没有说过"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for text, _ in make_rows(120)]
    path = tmp_path_factory.mktemp("pool") / "pool.txt"
    path.write_text("\n".join([*texts, SPECIAL, SPECIAL, SPECIAL + "！"]) + "\n", "utf-8")
    return path


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "selected.jsonl").read_text().splitlines()]


# --- the choice


def test_margins_and_entropies_know_what_is_sure() -> None:
    scores = np.asarray([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(unsureness(scores, True, "margin"), [1.0, 0.0, 1.0])
    found = unsureness(scores, True, "entropy")
    np.testing.assert_allclose(found, [np.log(2) / np.log(3), 0.0, 1.0], atol=1e-9)
    several = np.asarray([[0.9, 0.5], [0.9, 0.1]])
    np.testing.assert_allclose(unsureness(several, False, "margin"), [1.0, 0.2])


def kmeans_plus_plus(embeddings: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """The same on embeddings that are written out."""
    chosen = [int((embeddings**2).sum(1).argmax())]
    while len(chosen) < count:
        differences = embeddings[:, None] - embeddings[chosen]
        nearest = (differences**2).sum(2).min(1)
        nearest[chosen] = 0.0
        chosen.append(int(rng.choice(len(nearest), p=nearest / nearest.sum())))
    return chosen


def test_badge_is_kmeans_plus_plus_on_outer_products() -> None:
    rng = np.random.default_rng(0)
    gradients, vectors = rng.normal(size=(40, 3)), rng.normal(size=(40, 5))
    products = np.einsum("tl,tw->tlw", gradients, vectors).reshape(40, -1)
    expected = kmeans_plus_plus(products, 12, np.random.default_rng(7))
    assert badge(gradients, vectors, 12, np.random.default_rng(7)) == expected


@given(
    arrays(np.float64, (7, 2), elements=st.floats(-2, 2)),
    arrays(np.float64, (7, 3), elements=st.floats(-2, 2)),
    st.integers(1, 9),
)
def test_badge_takes_each_text_once(gradients, vectors, count: int) -> None:
    chosen = badge(gradients, vectors, count, np.random.default_rng(0))
    assert len(chosen) == len(set(chosen)) == min(count, 7)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 10))
def test_a_pool_of_any_size_keeps_the_best_of_it(numbers: list[int], most: int) -> None:
    rows = ((f"第{number}条", "pool", line) for line, number in enumerate(numbers))

    def judge(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        worth = np.asarray([float(text[1:-1]) for text in texts])
        return np.zeros((len(texts), 2)), worth

    kept = gather(rows, judge, most, Overlap(()), Counter())
    wanted = sorted(set(numbers), reverse=True)[:most]
    assert [int(candidate.text[1:-1]) for candidate in kept] == wanted


# --- the command


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_selects_texts_of_the_pool_each_once(
    strategy: str, trained: Path, pool: Path, tmp_path: Path
) -> None:
    options = Options(count=15, strategy=strategy, candidates=100)
    found = select(trained, pool, tmp_path / "out", options)
    rows = read(tmp_path / "out")
    assert rows == found.rows and len(rows) == 15
    lines = pool.read_text("utf-8").splitlines()
    assert all(lines[row["line"] - 1] == row["text"] for row in rows)
    assert len({row["text"] for row in rows}) == 15
    assert sum(found.guesses.values()) == 15
    again = select(trained, pool, tmp_path / "again", options)
    assert again == found


def test_margin_selects_what_the_pipeline_is_least_sure_of(
    trained: Path, pool: Path, tmp_path: Path
) -> None:
    nlp = load_pipeline(trained)
    texts = sorted(set(pool.read_text("utf-8").splitlines()))
    margins = {
        text: abs(doc.cats["pos"] - doc.cats["neg"])
        for text, doc in zip(texts, nlp.pipe(texts), strict=True)
    }
    found = select(trained, pool, tmp_path / "out", Options(count=5, strategy="margin"))
    for row in found.rows:
        assert row["unsure"] == pytest.approx(1 - margins[row["text"]], abs=1e-3)
    assert found.rows[0]["unsure"] == pytest.approx(1 - min(margins.values()), abs=1e-3)


def test_near_duplicates_and_labelled_texts_are_passed_over(
    trained: Path, pool: Path, corpus: Path, tmp_path: Path
) -> None:
    everything = Options(count=500, candidates=500)
    found = select(trained, pool, tmp_path / "out", everything)
    alike = [row for row in found.rows if row["text"].startswith(SPECIAL)]
    assert len(alike) == 1 and found.counts["nearly repeated"] >= 1
    options = Options(count=500, candidates=500, labelled=(corpus / "train", corpus / "dev"))
    fewer = select(trained, pool, tmp_path / "fewer", options)
    assert fewer.counts["labelled already"] > 0
    assert any(row["text"].startswith(SPECIAL) for row in fewer.rows)


def test_the_command_says_what_it_did(trained: Path, pool: Path, tmp_path: Path) -> None:
    done = run_cli("select", trained, pool, tmp_path / "out", "--count", 10)
    assert "(10 texts)" in done.stdout and "guessed: " in done.stdout
    assert json.loads((tmp_path / "out" / "selection.json").read_text())["counts"]["read"] == 123


def test_what_is_refused_says_why(trained: Path, pool: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n", "utf-8")
    with pytest.raises(BertZhError, match="no text to select"):
        select(trained, empty, tmp_path / "out")
    with pytest.raises(BertZhError, match="--candidates 5 is less than --count 10"):
        Options(count=10, candidates=5)
    with pytest.raises(BertZhError, match="--strategy"):
        Options(strategy="best")
    with pytest.raises(BertZhError, match="no such file"):
        Options(labelled=(tmp_path / "nothing",))
    assert not (tmp_path / "out").exists()
