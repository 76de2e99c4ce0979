"""The examples run, as a reader would run them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")

from tests.conftest import REPOSITORY


def test_plain_keras_learns(corpus: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = [corpus, tmp_path / "model.keras", "--weights", checkpoint, "--epochs", "15"]
    words += ["--learn-rate", "0.01", "--max-length", "64", "--batch-size", "16"]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "examples" / "keras_fit.py", *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Total params" in done.stdout and "block_1" in done.stdout
    accuracies = [float(n) for n in re.findall(r"val_accuracy: ([\d.]+)", done.stdout)]
    assert len(accuracies) == 15
    assert accuracies[-1] > 0.9
    assert float(done.stdout.split()[-1]) > 0.8
