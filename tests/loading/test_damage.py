"""Damaged pipelines, checkpoints and tokenizers: read or refused in one line, never more."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import spacy

from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from tests.conftest import REPOSITORY, initialized
from tests.package.packaging import METRICS, REPORT

TORCH = "spacy_bert_zh.TorchBackbone.v1"
SEED = os.environ.get("DAMAGE_SEED", "1")


@pytest.fixture(scope="session")
def subjects(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders: what is damaged."""
    folder = tmp_path_factory.mktemp("subjects")
    backbone = {"name": str(checkpoint), "max_length": 64, "stride": 8}
    onnx = {"@architectures": "spacy_bert_zh.OnnxBackbone.v1", **backbone, "pooling": "mean"}
    linear = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 256}
    ensemble = {"@architectures": "spacy_bert_zh.BertTextCatEnsemble.v1", "linear_model": linear}
    models = {
        "torch": {"backbone": backbone},
        "ensemble": {**ensemble, "backbone": {**backbone, "@architectures": TORCH}},
        "onnx": {"@architectures": "spacy_bert_zh.BertTextCat.v1", "backbone": onnx},
    }
    for name, model in models.items():
        nlp = spacy.blank("zh")
        nlp.add_pipe("bert_textcat", config={"model": model})
        initialized(nlp)
        nlp.to_disk(folder / name)
    shutil.copytree(checkpoint, folder / "checkpoint")
    with_tokenizer = Path(shutil.copytree(checkpoint, folder / "checkpoint-json"))
    load_tokenizer(checkpoint).save(str(with_tokenizer / "tokenizer.json"))
    (with_tokenizer / "vocab.txt").unlink()
    shutil.copytree(folder / "ensemble", folder / "package" / "pipeline")
    shutil.rmtree(folder / "package" / "pipeline" / "bert_textcat")
    for name, content in (("metrics.json", METRICS), ("report.json", REPORT)):
        (folder / "package" / name).write_text(json.dumps(content), "utf-8")
    return folder


def run(subjects: Path, seed: str, first: int, end: int, log: Path) -> tuple[list[str], Counter]:
    """Damage after damage, in a new process wherever one ended; what failed, and counts."""
    failed: list[str] = []
    counts: Counter = Counter()
    while first < end:
        words = [str(subjects), seed, str(first), str(end)]
        with log.open("a") as errors:
            done = subprocess.run(
                [sys.executable, "-m", "tests.loading.damage_worker", *words],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONUTF8": "1"},
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                errors="replace",
            )
        lines = done.stdout.splitlines()
        failed += [line for line in lines if line.startswith("FAILED")]
        begun = [line for line in lines if line[:1].isdigit()]
        if lines and lines[-1].startswith("DONE"):
            counts.update(json.loads(lines[-1].removeprefix("DONE")))
            break
        assert begun, f"the worker didn't start: {log.read_text()[-2000:]}"
        if not lines[-1].startswith("FAILED"):
            failed.append(f"FAILED {begun[-1]}: ended by {done.returncode}")
        first = int(begun[-1].split()[0]) + 1
    return failed, counts


@pytest.mark.parametrize("whole", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_whatever_is_damaged_is_one_line(whole: int, subjects: Path, tmp_path: Path) -> None:
    failed, counts = run(subjects, SEED, 0, whole, tmp_path / "log")
    print(counts)
    assert not failed, "\n".join([*failed, (tmp_path / "log").read_text()[-4000:]])


def test_what_is_whole_is_read(subjects: Path) -> None:
    from tests.loading.damage_worker import read

    for folder in sorted(subjects.iterdir()):
        read(folder, folder.name, Random(0))
