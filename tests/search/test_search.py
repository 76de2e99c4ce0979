"""A search: trials that choose on dev, go on after a kill, and are judged by other texts."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli._util import parse_config_overrides
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.search import Options, search
from spacy_bert_zh.search.report import lines
from spacy_bert_zh.search.space import (
    CHANGED,
    FIRST,
    STEPS,
    default_space,
    propose,
    read_space,
    value_at,
)
from spacy_bert_zh.search.training import Job, side_by_side
from spacy_bert_zh.search.trial import Trial, is_worse, reached
from spacy_bert_zh.train.config import load_training_config
from tests.conftest import REPOSITORY, run_cli

CONFIG = REPOSITORY / "configs" / "torch.cfg"
RATE = "training.optimizer.learn_rate.initial_rate"
DROPOUT = "training.dropout"
SPACE = {RATE: {"low": 1e-5, "high": 1e-2, "log": True}, DROPOUT: {"low": 0.0, "high": 0.3}}


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SPACE), "utf-8")
    return path


@pytest.fixture
def slow_start(train_args: list[str]) -> dict[str, Any]:
    """A config that learns too slowly."""
    return {**parse_config_overrides(list(train_args)), RATE: 1e-5}


def table(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        row.pop("seconds")
    return rows


def test_finds_settings_and_shows_what_they_are_worth(
    slow_start: dict[str, Any],
    space: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, test = tmp_path / "search", tmp_path / "test"
    shutil.copytree(corpus / "dev", test)
    options = Options(minutes=0, trials=4, space=space, test=test, seeds=1, processes=2)
    report = search(CONFIG, output, overrides=slow_start, options=options)
    rows = table(output)
    assert len(rows) == 4
    assert rows[0]["settings"] == {RATE: 1e-5, DROPOUT: 0.1}
    best = Config().from_disk(output / "best.cfg").interpolate()
    found = rows[report["best"]]["settings"]
    assert best["training"]["optimizer"]["learn_rate"]["initial_rate"] == found[RATE] > 1e-5
    for gain in report["test"]["gains"].values():
        low, high = gain["interval"]
        assert low <= gain["gain"] <= high
    assert report["test"]["gains"]["accuracy"]["gain"] > 0
    assert report["kept"]
    assert report["dev"]["gains"].keys() == report["test"]["gains"].keys()
    # The trials had the config's own seed.
    trained = Config().from_disk(output / "runs" / "found-0" / "model-best" / "config.cfg")
    assert trained["training"]["seed"] == best["training"]["seed"] + 1
    accuracy, macro_f1 = lines(report)
    assert "40 texts: accuracy 0." in accuracy and ": macro F1 0." in macro_f1
    assert (
        spacy.load(output / "runs" / "found-0" / "model-best")("味道不错，推荐").cats["pos"] > 0.5
    )
    assert not (output / "trials").exists()
    page = (output / "report.html").read_text("utf-8")
    assert "initial_rate" in page and page.count("<svg") >= 1

    # Once more: all is there, nothing is trained, and the report is the same.
    said: list[str] = []
    assert search(CONFIG, output, overrides=slow_start, options=options, say=said.append) == report
    assert not any(line.startswith("trial") for line in said)

    # With another seed macro F1 is better, and accuracy isn't.
    def lose(figures: Any, drawn: Any, key: str) -> dict[str, Any]:
        return {"gain": -0.01 if key == "accuracy" else 0.1, "interval": [-0.2, 0.2]}

    monkeypatch.setattr("spacy_bert_zh.search.report._gain", lose)
    report = search(CONFIG, output, overrides=slow_start, options=options, say=said.append)
    assert not report["kept"] and report["test"] is None and lines(report) == []
    assert said[-1] == "Other seeds don't bear it out: best.cfg is the config itself"
    assert "other seeds, on dev: accuracy " in said[-3] and "-0.0100" in said[-3]
    assert (output / "best.cfg").read_bytes() == (output / "config.cfg").read_bytes()
    assert "don't bear it out" in (output / "report.html").read_text("utf-8")

    with pytest.raises(BertZhError, match="another search"):
        search(CONFIG, output, overrides={**slow_start, DROPOUT: 0.2}, options=options)


def test_ray_finds_the_same(
    slow_start: dict[str, Any], space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from spacy_bert_zh import cluster
    from spacy_bert_zh.search.on_ray import on_ray

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "MEMORY", 120_000_000)
    on_cluster = Options(minutes=0, trials=3, space=space, seeds=1, processes=2, ray=True)
    with cluster.ray_running(2):
        search(CONFIG, Path("ray"), overrides=slow_start, options=on_cluster)
        with (
            on_ray(on_cluster) as begin,
            begin(Job(Path("nothing.cfg"), tmp_path / "0", {})) as task,
            pytest.raises(BertZhError, match=r"no .*nothing.cfg: all machines of a Ray"),
        ):
            while task.poll() is None:
                time.sleep(0.1)
        with pytest.raises(BertZhError, match="cluster has no GPU"):
            no_gpu = replace(on_cluster, gpu_id=0)
            search(CONFIG, tmp_path / "gpu", overrides=slow_start, options=no_gpu)
    here = replace(on_cluster, ray=False)
    search(CONFIG, Path("here"), overrides=slow_start, options=here)
    assert table(tmp_path / "ray") == table(tmp_path / "here")
    assert len(table(tmp_path / "ray")) == 3


def test_a_gpu_that_is_not_there_is_told_at_once(
    slow_start: dict[str, Any], space: Path, tmp_path: Path
) -> None:
    with pytest.raises(BertZhError, match="--gpu-id 7"):
        search(CONFIG, tmp_path / "s", overrides=slow_start, options=Options(gpu_id=7, space=space))


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_table(
    train_args: list[str], space: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "spacy_bert_zh", "search", CONFIG]
    rest = ["--minutes", 0, "--trials", 8, "--processes", 2, "--space", space]
    rest += ["--seeds", 1, *train_args]

    def start(folder: Path) -> "subprocess.Popen[bytes]":
        words = list(map(str, [*command, folder, *rest]))
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)

    assert start(tmp_path / "whole").wait() == 0
    process = start(tmp_path / "killed")
    draw = random.Random(0)
    for _ in range(10):
        time.sleep(draw.uniform(1, 25))
        os.kill(process.pid, signal.SIGKILL)
        process = start(tmp_path / "killed")
    assert process.wait() == 0
    assert table(tmp_path / "killed") == table(tmp_path / "whole")


class Fake(ExitStack):
    """A training that is over when it was looked at so many times."""

    def __init__(self, number: int, looks: int) -> None:
        super().__init__()
        self.number, self.looks = number, looks

    def poll(self) -> Trial | None:
        self.looks -= 1
        return None if self.looks else Trial({"number": self.number})


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 4))
def test_trainings_side_by_side_come_out_in_order(lengths: list[int], processes: int) -> None:
    begun: list[Fake] = []

    def begin(number: int) -> Fake | None:
        assert number == len(begun)
        if number == len(lengths):
            return None
        begun.append(Fake(number, lengths[number]))
        assert sum(one.looks > 0 for one in begun) <= processes
        return begun[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spacy_bert_zh.search.training.PATIENCE", 0)
        found = list(side_by_side(begin, processes))
    numbers = list(range(len(lengths)))
    assert [(number, trial.settings["number"]) for number, trial in found] == [
        *zip(numbers, numbers, strict=True)
    ]


def test_a_short_training_waits_for_no_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacy_bert_zh.search.training.PATIENCE", 0)
    begun = [Fake(number, looks) for number, looks in enumerate([9, 1, 1, 1, 1])]
    seen = []
    for number, _ in side_by_side(lambda n: begun[n] if n < 5 else None, 2):
        seen.append((number, [one.looks for one in begun]))
    assert seen[0] == (0, [0, 0, 0, 0, 0])


def test_the_length_is_tried_where_trials_are_whole(train_args: list[str], tmp_path: Path) -> None:
    given = parse_config_overrides(list(train_args))
    config = load_training_config(CONFIG, given)
    assert STEPS in default_space(config)
    assert STEPS not in default_space(config.interpolate())  # then nothing follows it
    space = {STEPS: {"low": 4, "high": 20}, DROPOUT: {"low": 0.0, "high": 0.3}}
    (tmp_path / "space.json").write_text(json.dumps(space), "utf-8")
    options = Options(minutes=0, trials=2, space=tmp_path / "space.json", seeds=1)

    search(CONFIG, tmp_path / "whole", overrides=given, options=options)
    lengths = [row["settings"][STEPS] for row in table(tmp_path / "whole")]
    assert [row["steps"] for row in table(tmp_path / "whole")] == lengths
    assert lengths[0] == 40 != lengths[1]

    said: list[str] = []
    short = replace(options, minutes=0.001)
    search(CONFIG, tmp_path / "cut", overrides=given, options=short, say=said.append)
    assert any("its length isn't tried" in line for line in said)
    report = search(CONFIG, tmp_path / "cut", overrides=given, options=options)
    assert [row["steps"] for row in table(tmp_path / "cut")] == [1, 1]
    assert [row["name"] for row in report["settings"]] == [DROPOUT]

    (tmp_path / "space.json").write_text(json.dumps({STEPS: space[STEPS]}), "utf-8")
    with pytest.raises(BertZhError, match="nothing else may change: give more --minutes"):
        search(CONFIG, tmp_path / "nothing", overrides=given, options=short)


def trials_of(*scores: list[float]) -> list[Trial]:
    return [Trial({DROPOUT: 0.1}, one, finished=True) for one in scores]


def test_the_worse_half_is_stopped_at_rungs() -> None:
    done = trials_of([0.1, 0.5, 0.6], [0.1, 0.7, 0.8], [0.1, 0.3, 0.4])
    assert is_worse([0.1, 0.4], done)
    assert not is_worse([0.1, 0.6], done)
    assert not is_worse([0.1], done)  # nothing was learnt yet
    assert not is_worse([0.1, 0.9, 0.9, 0.0], done)  # no rung
    assert not is_worse([0.1, 0.0], done[:1])  # one says nothing


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_a_single_high_score_is_no_reason(scores: list[float]) -> None:
    slack = 1e-9
    assert min(scores) - slack <= reached(scores) <= max(scores) + slack
    calm = [0.5, 0.6, 0.6, 0.6]
    assert reached([0.5, 0.7, 0.5, 0.6]) <= reached(calm) == pytest.approx(0.6)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.integers(0, 5))
def test_the_best_of_all_is_never_stopped(scores: list[float], count: int) -> None:
    done = trials_of(*[[score * 0.9 for score in scores]] * count)
    assert not is_worse(scores, done) or max(scores) == 0


def test_proposals_follow_from_the_trials() -> None:
    config = Config().from_disk(CONFIG, overrides={"paths.train": "x"}).interpolate()
    space = default_space(config)
    assert RATE in space and not any("linear_rate" in key for key in space)
    some = [propose(space, [], [], seed) for seed in range(8)]
    assert some == [propose(space, [], [], seed) for seed in range(8)]
    assert len({json.dumps(one) for one in some}) == 8
    done = [Trial(one, [0.1, 0.5], finished=True) for one in some[:6]]
    one = propose(space, done, some[6:], 8)
    assert one == propose(space, done, some[6:], 8)
    # What still runs is kept away from.
    assert one != propose(space, done, [one], 8)
    for one in some:
        assert one.keys() == space.keys()
        assert 0 <= one[DROPOUT] <= 0.3


def test_the_first_proposals_are_near_the_config() -> None:
    config = Config().from_disk(CONFIG, overrides={"paths.train": "x"}).interpolate()
    space = default_space(config)
    own = {key: value_at(config, key) for key in space}
    done = [Trial(own, [0.1, 0.5], finished=True)]
    for seed in range(8):
        one = propose(space, done, [], seed)
        kept = [key for key in space if one[key] == own[key]]
        assert len(space) - CHANGED <= len(kept) < len(space)
        assert propose({RATE: space[RATE]}, done, [], seed) != {RATE: own[RATE]}
    later = [propose(space, done * FIRST, [], seed) for seed in range(8)]
    assert any(sum(one[key] != own[key] for key in space) > CHANGED for one in later)


def test_a_config_without_a_classifier_of_ours_needs_a_space() -> None:
    with pytest.raises(BertZhError, match="give --space"):
        default_space(Config({"components": {"textcat": {"factory": "textcat"}}}))


def test_a_corpus_is_no_place_for_a_search(
    slow_start: dict[str, Any], space: Path, corpus: Path
) -> None:
    with pytest.raises(BertZhError, match="inside the input"):
        search(CONFIG, corpus / "train" / "out", overrides=slow_start, options=Options(space=space))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "a setting or more"),
        ({"training.drop": {"low": 0, "high": 1}}, "the config has no training.drop"),
        ({DROPOUT: {"low": 1, "high": 0}}, "nothing lies between 1 and 0"),
        ({DROPOUT: {"low": 0, "high": 1, "log": True}}, "nothing lies between"),
        ({DROPOUT: {"low": "a", "high": 1}}, "low"),
        ({DROPOUT: {"choices": []}}, "choices"),
        ({DROPOUT: {"choices": [[1]]}}, "choices"),
        ({DROPOUT: 3}, "dictionary"),
    ],
)
def test_spaces_that_are_none(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(BertZhError, match=message):
        read_space(path, Config().from_disk(CONFIG).interpolate())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "-1"], "--trials is -1"),
        (["--processes", "0"], "--processes is 0"),
        (["--minutes", "0"], "never ends"),
    ],
)
def test_bad_options_are_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    done = run_cli("search", CONFIG, tmp_path / "out", *options, check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_config_that_cant_be_trained_says_why(
    train_args: list[str], space: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text('["neg", "other"]', "utf-8")
    overrides = {**parse_config_overrides(list(train_args)), "paths.labels": str(labels)}
    with pytest.raises(BertZhError, match=r"can't be trained: .* 'pos'"):
        search(CONFIG, tmp_path / "out", overrides=overrides, options=Options(space=space))
