"""A recipe that fits the corpus, and a training that keeps to a time."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli._util import parse_config_overrides
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.train import train
from spacy_bert_zh.train.budget import Budget, describe_budget, shorten
from spacy_bert_zh.train.config import load_training_config
from spacy_bert_zh.train.recipe import EPOCHS, LENGTHS, Facts, choose_recipe, fit_recipe
from tests.conftest import REPOSITORY

CONFIG = REPOSITORY / "configs" / "ensemble.cfg"
RATE = "training.optimizer.learn_rate.initial_rate"
STEPS = "training.optimizer.learn_rate.total_steps"
LENGTH = "components.bert_textcat.model.backbone.max_length"
SMALL, BASE = 3_160_000, 85_000_000


def facts(texts: int, weights: int = SMALL, pieces: int = 20) -> Facts:
    return Facts(texts, Counter(neg=texts // 2, pos=texts - texts // 2), [pieces] * 9, weights)


@given(st.integers(1, 10**7), st.integers(10**5, 10**9), st.integers(2, 10**5))
def test_any_corpus_gets_something_sensible(texts: int, weights: int, pieces: int) -> None:
    recipe = choose_recipe(facts(texts, weights, pieces))
    assert recipe.steps >= 1
    assert recipe.max_length in LENGTHS
    assert recipe.max_length >= min(pieces, LENGTHS[-1])
    assert 1e-5 <= recipe.rate <= 5e-4
    assert recipe.steps * recipe.batch_size >= EPOCHS[0] * texts
    assert f"{texts:,} texts" in str(recipe)


@given(st.integers(100, 10**6))
def test_more_texts_are_read_less_often_and_faster(texts: int) -> None:
    few, many = choose_recipe(facts(texts)), choose_recipe(facts(2 * texts))
    assert many.epochs <= few.epochs * 1.1
    assert many.rate >= few.rate
    assert many.steps * many.batch_size >= few.steps * few.batch_size


def test_a_large_network_learns_slowly() -> None:
    assert choose_recipe(facts(50_000, BASE)).rate == pytest.approx(3e-5)
    assert choose_recipe(facts(50_000, SMALL)).rate == pytest.approx(5e-4)


@pytest.fixture
def paths(corpus: Path, checkpoint: Path) -> dict[str, Any]:
    return {
        "paths.train": str(corpus / "train"),
        "paths.dev": str(corpus / "dev"),
        "paths.labels": str(corpus / "labels.json"),
        "paths.weights": str(checkpoint),
    }


def fitted(given: dict[str, Any], path: Path = CONFIG) -> Config:
    config, _ = fit_recipe(load_training_config(path, given), given)
    return config.interpolate()


def test_it_stands_in_the_config(paths: dict[str, Any]) -> None:
    config = fitted(paths)
    recipe = fit_recipe(load_training_config(CONFIG, paths), paths)[1]
    assert recipe is not None
    assert config["training"]["max_steps"] == recipe.steps
    assert config["training"]["batcher"]["size"] == recipe.batch_size
    assert config["components"]["bert_textcat"]["model"]["backbone"]["max_length"] == 32


def test_what_the_user_says_holds_but_for_a_zero(paths: dict[str, Any]) -> None:
    said = fitted({**paths, STEPS: 7, RATE: 1e-3, LENGTH: 64})
    rates = said["training"]["optimizer"]["learn_rate"]
    assert (rates["total_steps"], rates["initial_rate"], rates["warmup_steps"]) == (7, 1e-3, 1)
    assert said["components"]["bert_textcat"]["model"]["backbone"]["max_length"] == 64
    assert fitted({**paths, STEPS: 0, RATE: 0.0}) == fitted(paths)


def test_a_config_without_the_section_stays_as_it_is(paths: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "own.cfg"
    own.write_text(CONFIG.read_text("utf-8").replace("fit = true", "fit = false"), "utf-8")
    assert fitted(paths, own) == load_training_config(own, paths).interpolate()
    with pytest.raises(BertZhError, match=r"total_steps = 0 asks for one that fits"):
        fitted({**paths, STEPS: 0}, own)


def test_a_time_limit_shortens_schedule_and_warm_up() -> None:
    training: dict[str, Any] = {
        "max_steps": "${training.optimizer.learn_rate.total_steps}",
        "optimizer": {"learn_rate": {"total_steps": 900, "warmup_steps": 90}},
    }
    shorten(training, 50)
    assert training["optimizer"]["learn_rate"] == {"total_steps": 50, "warmup_steps": 5}
    assert training["max_steps"].startswith("${")
    plain: dict[str, Any] = {"max_steps": 900, "optimizer": {"learn_rate": 0.001}}
    shorten(plain, 50)
    assert plain["max_steps"] == 50
    budget = Budget(50, 10)
    assert describe_budget(budget, 900, 2) == "2 minutes have room for 50 of 900 steps (--minutes)"


def test_a_training_keeps_to_its_time(
    train_args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured on its first steps, which leave nothing behind."""
    overrides = {**parse_config_overrides(list(train_args)), STEPS: 100_000}
    del overrides["training.eval_frequency"]
    config = REPOSITORY / "configs" / "torch.cfg"
    train(config, tmp_path / "out", overrides=overrides, minutes=0.05)
    assert "0.05 minutes have room for" in " ".join(capsys.readouterr().out.split())
    lines = (tmp_path / "out" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["step"] < 5_000


def test_a_training_cut_off_keeps_to_the_length_it_began_with(
    train_args: list[str], tmp_path: Path
) -> None:
    """Another machine, or a busier one, would have room for another number of steps."""
    config = REPOSITORY / "configs" / "torch.cfg"
    overrides = {**parse_config_overrides(list(train_args)), STEPS: 100_000}
    del overrides["training.eval_frequency"]
    given = [str(word) for key, value in overrides.items() for word in (f"--{key}", value)]
    words = ["train", config, "-o", tmp_path, "--minutes", "0.1", *given]
    command = [sys.executable, "-m", "spacy_bert_zh", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / "checkpoint" / "state.json"
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    begun = Config().from_str(json.loads(state.read_text("utf-8"))["config"])
    train(config, tmp_path, overrides=overrides, resume=True, minutes=5)
    lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["step"] == begun["training"]["max_steps"]


def test_n_grams_alone_learn_at_the_full_rate() -> None:
    recipe = choose_recipe(Facts(50_000, Counter(a=1, b=1), [20], 0))
    assert recipe.rate == 5e-4 and recipe.because.endswith("no network")
