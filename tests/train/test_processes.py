"""Training in several processes: what one would have learnt, and one line when one dies."""

import json
import os
import re
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli._util import parse_config_overrides

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.ranks import Group, joined, launch, map_memory
from spacy_bert_zh.train.flow import train
from spacy_bert_zh.train.together import check_batches, check_component
from tests.conftest import REPOSITORY, initialized, run_cli
from tests.train.test_train import BACKBONE, digest, files, steps_of

CONFIG = REPOSITORY / "configs" / "ensemble.cfg"
SEQUENCE = "spacy.batch_by_sequence.v1"
STEPS = "training.optimizer.learn_rate.total_steps"
# Adam divides a gradient by its own size plus eps: with the usual 1e-8, one that is 0 but for
# rounding (that of a key's bias, which a softmax cancels) moves a weight as far as any other.
STILL = {
    "training.dropout": 0.0,
    "training.eval_frequency": 12,
    "training.optimizer.eps": 1e-4,
    STEPS: 24,
}
FEW = {"training.eval_frequency": 5, STEPS: 40}
COUNTING = """
import os
from pathlib import Path
import spacy

@spacy.registry.callbacks("counting.v1")
def make_counter():
    file = Path(__file__).with_name(f"steps-{os.environ['RANK']}.txt")

    def count(nlp, info):
        with file.open("a") as opened:
            print(info["step"], file=opened)

    return count
"""


def words(overrides: dict[str, Any], args: list[str], **more: Any) -> list[str]:
    given = parse_config_overrides(list(args)) | overrides | more
    return [word for key, value in given.items() for word in (f"--{key}", json.dumps(value))]


def weights_of(pipeline: Path) -> dict[str, np.ndarray]:
    """All weights of the classifier: thinc's and torch's."""
    model = spacy.load(pipeline).get_pipe("bert_textcat").model  # type: ignore[attr-defined]
    found = {
        f"{number} {name}": node.get_param(name)
        for number, node in enumerate(model.walk())
        for name in node.param_names
        if node.has_param(name)
    }
    for name, tensor in model.get_ref("backbone").shims[0].network.named_parameters():
        found[name] = tensor.detach().numpy()
    return found


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def still_args(train_args: list[str], still: Path) -> list[str]:
    """A training without any dropout, of both halves, with what is special in a batch."""
    special = {
        # 120 texts: seven batches of 16 and one of 8, each in five parts of 3 and one of 1
        "paths.weights": str(still),
        f"{BACKBONE}.mixed_precision": False,
        "training.accumulate_gradient": 5,
        "components.bert_textcat.class_weights": "balanced",
        "components.bert_textcat.r_drop": 0.5,
        "components.bert_textcat.adversarial": "fgm",
        "nlp.batch_size": 16,
    }
    return words(STILL, train_args, **special)


@pytest.fixture(scope="module")
def alone(still_args: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train(CONFIG, folder, overrides=parse_config_overrides(list(still_args)))
    return folder


@pytest.fixture(scope="module")
def pair(train_args: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole run of two processes, with dropout."""
    folder = tmp_path_factory.mktemp("pair")
    run_cli("train", CONFIG, "-o", folder, "--processes", 2, *words(FEW, train_args))
    return folder


@pytest.mark.parametrize(
    ("processes", "optimizer"),
    [
        (2, "spacy_bert_zh.Adam.v1"),  # in memory that both see
        (2, "Adam.v1"),  # which sends gradients, as several machines and GPUs do
        pytest.param(3, "spacy_bert_zh.Adam.v1", marks=pytest.mark.slow),
        pytest.param(3, "Adam.v1", marks=pytest.mark.slow),
    ],
)
def test_several_learn_what_one_does(
    processes: int, optimizer: str, alone: Path, still_args: list[str], tmp_path: Path
) -> None:
    args = [*still_args, "--training.optimizer.@optimizers", optimizer]
    done = run_cli("train", CONFIG, "-o", tmp_path, "--processes", processes, *args)
    assert done.stdout.count("Training pipeline") == 1
    for name in ("model-last", "model-best"):
        expected, found = weights_of(alone / name), weights_of(tmp_path / name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert np.abs(found[key] - value).max() < 1e-5, key
    for line, other in zip(history(alone), history(tmp_path), strict=True):
        for key in ("loss", "scores"):
            assert line.pop(key) == pytest.approx(other.pop(key), rel=1e-4)
        assert line == other


def test_processes_draw_different_dropouts_and_shuffle_alike(pair: Path) -> None:
    assert steps_of(pair) == list(range(0, 41, 5))
    assert history(pair)[-1]["score"] > 0.9


def test_every_process_runs_code_that_is_given(train_args: list[str], tmp_path: Path) -> None:
    code, counted = tmp_path / "code.py", {"training.before_update": {"@callbacks": "counting.v1"}}
    code.write_text(COUNTING)
    args = ["--processes", 2, "--code", code, *words({STEPS: 4}, train_args, **counted)]
    run_cli("train", CONFIG, "-o", tmp_path / "out", *args, "--force")
    first, second = ((tmp_path / f"steps-{rank}.txt").read_text().split() for rank in (0, 1))
    assert first == second
    assert first[:4] == ["0", "1", "2", "3"]


def start(folder: Path, args: list[str], *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "spacy_bert_zh", "train", CONFIG, "-o", folder, *args, *more]
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def rank_of(process: "subprocess.Popen[str]", rank: int) -> psutil.Process:
    return next(
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.environ().get("RANK") == str(rank) and "-S" not in child.cmdline()
    )


def wait_for(folder: Path, step: int, process: "subprocess.Popen[str]") -> None:
    state, deadline = folder / "checkpoint" / "state.json", time.monotonic() + 300
    while not (state.exists() and json.loads(state.read_text())["step"] >= step):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_rank_that_dies_ends_all_and_resume_is_exact(
    rank: int, pair: Path, train_args: list[str], tmp_path: Path
) -> None:
    args = [*words(FEW, train_args), "--processes", "2"]
    process = start(tmp_path, args)
    wait_for(tmp_path, 5, process)
    other = rank_of(process, 1 - rank)
    rank_of(process, rank).kill()
    begun = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 30  # on a busy machine
    assert process.returncode == 1
    (line,) = re.findall("✘.*", errors)
    assert line.startswith(f"✘ Process {rank} of 2 was ended by SIGKILL")
    assert "Traceback" not in errors
    assert not other.is_running() or other.status() == psutil.STATUS_ZOMBIE

    done = run_cli("train", CONFIG, "-o", tmp_path, "--resume", *args)
    assert "Resuming after step" in done.stdout
    assert digest(tmp_path / "model-last") == digest(pair / "model-last")
    assert files(tmp_path) == files(pair)


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(
    train_args: list[str], tmp_path: Path
) -> None:
    process = start(tmp_path, words(FEW, train_args), "--processes", "2")
    wait_for(tmp_path, 0, process)
    ranks = [rank_of(process, rank) for rank in (0, 1)]
    process.kill()
    process.communicate()
    psutil.wait_procs(ranks, timeout=30)
    assert not any(rank.is_running() for rank in ranks)


@pytest.mark.slow
def test_torchrun_does_the_same(pair: Path, train_args: list[str], tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--rdzv-backend", "c10d"]
    command = ["--rdzv-endpoint", "localhost:0", "-m", "spacy_bert_zh", "train", CONFIG]
    given = [*torchrun, *command, "-o", tmp_path, *words(FEW, train_args)]
    subprocess.run([sys.executable, *map(str, given)], check=True, capture_output=True)
    assert files(tmp_path) == files(pair)


@pytest.mark.parametrize(
    ("batcher", "accumulate", "message"),
    [
        ({"@batchers": SEQUENCE, "size": 2}, 1, "3 processes, but batches of 2 texts: take"),
        ({"@batchers": SEQUENCE, "size": 8}, 4, "batches of 8 texts in 4 parts"),
        ({"@batchers": SEQUENCE, "size": 3}, 1, None),
        ({"@batchers": "spacy.batch_by_words.v1", "size": 2}, 1, None),
    ],
)
def test_more_processes_than_texts_in_a_batch(
    batcher: dict[str, Any], accumulate: int, message: str | None
) -> None:
    if message is None:
        check_batches(batcher, accumulate, 3)
        return
    with pytest.raises(BertZhError, match=re.escape(message)):
        check_batches(batcher, accumulate, 3)


def test_none_is_not_a_number_of_processes(train_args: list[str], tmp_path: Path) -> None:
    done = run_cli("train", CONFIG, "-o", tmp_path, "--processes", 0, *train_args, check=False)
    assert done.returncode == 2
    assert "--processes" in done.stderr


def test_processes_of_torchrun_start_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(BertZhError, match="RANK is set"):
        launch(["train"], 2)


def test_a_rank_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(BertZhError, match="WORLD_SIZE is 'many'"), joined():
        pass


def test_others_than_our_classifiers_are_named() -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe("tagger")
    with pytest.raises(BertZhError, match="'tagger' can't learn in several processes"):
        check_component(nlp, "tagger")


def test_a_network_that_is_not_torchs_is_named(make_pipeline: Any) -> None:
    nlp = make_pipeline()
    pipe = initialized(nlp)
    check_component(nlp, "bert_textcat")
    pipe.model.get_ref("backbone").shims[0]._model = object()  # as KerasBackbone.v1 has it
    with pytest.raises(BertZhError, match=r"TorchBackbone\.v1"):
        check_component(nlp, "bert_textcat")


def test_processes_of_several_machines_share_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert map_memory(Group(0, 2), 64) is None


@given(st.lists(st.integers(0, 1000)), st.integers(1, 5))
def test_nobody_waits_longer_than_the_longest_text_takes(lengths: list[int], world: int) -> None:
    shares = [Group(rank, world).share(lengths, lambda length: length) for rank in range(world)]
    assert sorted(chain(*shares)) == sorted(lengths)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for work in (lambda length: length, lambda length: min(length, 240), lambda length: length**2):
        times = [sum(map(work, share)) for share in shares]
        assert max(times) - min(times) <= max(map(work, lengths), default=0)


def test_one_alone_is_a_group() -> None:
    group = Group()
    assert group.alone
    assert group.tell({"a": 1}) == {"a": 1}
    assert group.share(["a", "bb"], len) == ["bb", "a"]
    assert "RANK" not in os.environ
