"""Trainings in processes of their own, which die with the one that started them."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import PICTURE
from spacy_bert_zh.files import started

LOG = "train.log"


def train_command(
    config: Path,
    folder: Path,
    overrides: Mapping[str, Any],
    minutes: float = 0.0,
    gpu_id: int = -1,
    code: Path | None = None,
) -> list[str]:
    """The command line of a training that goes on where it was cut off."""
    given = [part for key, value in overrides.items() for part in (f"--{key}", _written(value))]
    command = [sys.executable, "-m", "spacy_bert_zh", "train", str(config), "--output", str(folder)]
    rest = ["--resume", "--force", "--minutes", str(minutes), "--gpu-id", str(gpu_id)]
    rest += ["--code", str(code)] if code else []
    return [*command, *rest, *given]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def train_apart(
    config: Path,
    folder: Path,
    overrides: Mapping[str, Any],
    minutes: float = 0.0,
    gpu_id: int = -1,
    code: Path | None = None,
) -> None:
    """Train, or go on training, unless that is done; ``train.log`` has what it says.

    Args:
        config: What is trained.
        folder: Where.
        overrides: Config values by dotted name.
        minutes: How long it may take; 0 doesn't limit.
        gpu_id: GPU id; -1 is the CPU.
        code: Python file that registers functions which the config names.

    Raises:
        BertZhError: It failed; what it said last.
    """
    if (folder / PICTURE).exists():  # the last thing that a training makes
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = train_command(config, folder, overrides, minutes, gpu_id, code)
    with (
        (folder / LOG).open("wb") as log,
        started(command, Path.cwd(), os.environ, stdout=log, stderr=log) as process,
    ):
        status = process.wait()
    if status:
        raise BertZhError(f"A training failed: {last_word(folder)}")


def last_word(folder: Path) -> str:
    """The last line that a training said."""
    lines = (folder / LOG).read_text("utf-8", errors="replace").split("\n")
    return next((line.strip(" ✘") for line in reversed(lines) if line.strip()), "no word")[:500]
