"""Commands that are killed at any moment, and run again: `pytest -m slow tests/cli/test_kills.py`.

KILLS is how often each command is killed by each signal.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from spacy_bert_zh import __version__ as OURS
from spacy_bert_zh.files.outputs import RECORD, intact
from tests.conftest import REPOSITORY, make_rows, run_cli
from tests.pretrain.pretraining import TINY, as_words

KILLS = int(os.environ.get("KILLS", 20))
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
MARK = "BERT_ZH_KILLED_RUN"  # in the environment of a run and of all processes it starts


@dataclass
class Command:
    """A command, and what it leaves in the folder that it is run in.

    Attributes:
        words: The command line, given the folder of the inputs.
        outputs: Files, or folders that are made as a whole.
        clocked: Files in these whose bytes depend on the clock.
        works_in: What may be there besides.
    """

    words: Callable[[Path], list[object]]
    outputs: tuple[str, ...]
    clocked: tuple[str, ...] = ()
    works_in: tuple[str, ...] = ()


COMMANDS = {
    "convert": Command(
        lambda at: ["convert", at / "reviews.tsv", "out", "-f", "tsv", "--split", "0.8,0.2,0"],
        ("out",),
    ),
    "pretrain": Command(
        lambda at: [
            *["pretrain", at / "raw.txt", "out"],
            *as_words({**TINY, "save_every": 2, "workers": 2}),
        ],
        ("out",),
        ("metrics.jsonl", "loss.svg", "README.md", RECORD),
        ("out.work",),
    ),
    "train": Command(
        lambda at: [
            *["train", REPOSITORY / "configs" / "torch.cfg", "-o", ".", "--resume"],
            *["--paths.train", at / "corpus" / "train", "--paths.dev", at / "corpus" / "dev"],
            *["--paths.labels", at / "corpus" / "labels.json", "--paths.weights", at / "tiny"],
            *["--training.max_steps", 12, "--training.eval_frequency", 4],
            *["--components.bert_textcat.model.backbone.max_length", 64],
        ],
        ("model-best", "model-last"),
        (),
        ("checkpoint", "metrics.jsonl", "history.svg"),
    ),
    "evaluate": Command(
        lambda at: ["evaluate", at / "model-best", at / "corpus" / "dev", "."],
        ("metrics.json", "report.html"),
    ),
    "calibrate": Command(
        lambda at: ["calibrate", at / "model-best", "out", "--dev", at / "corpus" / "dev"],
        ("out",),
    ),
    "export": Command(
        lambda at: [
            *["export", at / "model-best", "out", "-f", "onnx", "--precision", "int8"],
            *["--dev", at / "corpus" / "dev", "--force"],
        ],
        ("out",),
    ),
    "package": Command(
        lambda at: ["package", at / "model-best", "."],
        tuple(f"{n}-py3-none-any.whl" for n in ("zh_bert_textcat-1.0.0", f"spacy_bert_zh-{OURS}")),
    ),
    "score to a table": Command(
        lambda at: [
            *["score", at / "model-best", at / "reviews.tsv", "out.csv", "-f", "tsv"],
            *["--text", "--keep-all", "--chunk-size", 20],
        ],
        ("out.csv",),
        (),
        ("out.csv.parts",),
    ),
    "score": Command(
        lambda at: [
            *["score", at / "model-best", at / "raw.txt", "out.jsonl", "-f", "text"],
            *["--workers", 2, "--chunk-size", 50],
        ],
        ("out.jsonl",),
        (),
        ("out.jsonl.parts",),
    ),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """A corpus, raw text, a checkpoint, a config and a trained pipeline, all very small."""
    at = tmp_path_factory.mktemp("inputs")
    rows = make_rows(300)
    table = [("text", "label"), *rows]
    (at / "reviews.tsv").write_text("".join(f"{y}\t{x}\n" for x, y in table), "utf-8")
    (at / "raw.txt").write_text("".join(f"{text}\n" for text, _ in rows), "utf-8")
    (at / "tiny").symlink_to(checkpoint)
    run_cli(*["convert", at / "reviews.tsv", at / "corpus", "-f", "tsv", "--split", "0.8,0.2,0"])
    run_cli(*COMMANDS["train"].words(at), cwd=at)
    return at


def start(words: list[object], folder: Path, token: str) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "spacy_bert_zh", *map(str, words)],
        cwd=folder,
        env={**os.environ, MARK: token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def processes(token: str) -> list[int]:
    """Every process that carries a mark, as long as it does anything."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == token and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def content(folder: Path, command: Command) -> dict[str, str]:
    """Digests of what a command made, but for what tells the time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for output in command.outputs
        for path in sorted([folder / output, *(folder / output).rglob("*")])
        if path.is_file() and path.name not in command.clocked
    }


def strange(folder: Path, command: Command) -> list[str]:
    known = {RECORD, *command.outputs, *command.works_in}
    return [path.name for path in folder.iterdir() if path.name not in known]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_leaves_nothing_and_ends_in_the_same_bytes(
    name: str, inputs: Path, tmp_path: Path
) -> None:
    command, chance = COMMANDS[name], random.Random(name)
    began = time.monotonic()
    undisturbed = start(command.words(inputs), tmp_path / "whole", "")
    errors = undisturbed.communicate()[1]
    assert undisturbed.returncode == 0, errors
    lasts, right = time.monotonic() - began, content(tmp_path / "whole", command)
    assert not strange(tmp_path / "whole", command)
    ended = 0
    for number, code in SIGNALS.items():
        for kill in range(KILLS):
            folder, token = tmp_path / f"{number.name}{kill}", uuid.uuid4().hex
            run = start(command.words(inputs), folder, token)
            time.sleep(chance.uniform(0.1, 1) * lasts)
            run.send_signal(number)
            _, errors = run.communicate()
            where = f"{name} {number.name} {kill}: {run.returncode} {errors[-2000:]}"
            # Before the command has begun, nothing of ours is there to end it.
            early = run.returncode == -number and not errors and not list(folder.iterdir())
            assert run.returncode in (0, code) or early, where
            ended += run.returncode == code
            if run.returncode == code > 0:
                assert "Traceback" not in errors, where
                assert errors.strip().splitlines()[-1].startswith("✘"), where
                assert not strange(folder, command), where
            deadline = time.monotonic() + 10
            while processes(token) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not processes(token), where
            for path in [folder / output for output in command.outputs]:  # whole or not at all
                if path.is_dir():
                    assert intact(path), where
                elif path.exists():
                    assert content(folder, command)[path.name] == right[path.name], where
            again = start(command.words(inputs), folder, "")
            errors = again.communicate()[1]
            assert again.returncode == 0, f"{where}, then {errors[-2000:]}"
            assert content(folder, command) == right, where
            assert not strange(folder, command), where
    assert ended >= KILLS, "most kills came too late"
