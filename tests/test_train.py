"""Training: the same as spaCy's, reproducible, and alive after being killed."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import parse_config_overrides

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.resume import TrainingState
from spacy_bert_zh.train import train
from tests.conftest import REPOSITORY, run_cli

CONFIG = REPOSITORY / "configs" / "torch.cfg"
BACKBONE = "components.bert_textcat.model.backbone"


def digest(pipeline: Path) -> str:
    return hashlib.sha256((pipeline / "bert_textcat" / "model").read_bytes()).hexdigest()


def test_learns_and_saves_a_working_pipeline(trained: Path) -> None:
    nlp = spacy.load(trained)
    assert nlp("味道不错，推荐").cats["pos"] > 0.6
    assert nlp("难吃，失望").cats["neg"] > 0.6
    assert nlp.meta["performance"]["cats_macro_f"] > 0.9


def test_same_bytes_as_spacy_train(trained: Path, train_args: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spacy", "train", CONFIG, "--output", tmp_path, *train_args]
    subprocess.run(command, check=True, capture_output=True)
    assert digest(tmp_path / "model-best") == digest(trained)
    assert digest(tmp_path / "model-last") == digest(trained.parent / "model-last")


def test_saved_pipeline_holds_no_absolute_path(trained: Path, checkpoint: Path) -> None:
    for path in trained.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(checkpoint).encode() not in data, path
            assert str(REPOSITORY).encode() not in data, path


def test_killed_training_resumes_to_the_same_result(
    trained: Path, train_args: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "spacy_bert_zh", "train", CONFIG, "-o", tmp_path, *train_args]
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    state = tmp_path / "checkpoint" / "state.json"
    deadline = time.monotonic() + 120
    while not (state.exists() and json.loads(state.read_text())["step"] >= 20):
        assert process.poll() is None, process.stdout and process.stdout.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert state.exists(), "the training ended before it could be killed"

    done = run_cli("train", CONFIG, "-o", tmp_path, "--resume", *train_args)
    assert "Resuming after step" in done.stdout
    assert digest(tmp_path / "model-last") == digest(trained.parent / "model-last")
    assert digest(tmp_path / "model-best") == digest(trained)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"paths.train": "no/such/corpus"}, "corpora.train.path: no such file or folder"),
        ({"paths.dev": None}, "corpora.dev.path is not set"),
        ({"paths.weights": "./no/such/bert"}, "No such checkpoint folder: ./no/such/bert"),
        ({f"{BACKBONE}.max_length": 65}, "max_length = 65, but the checkpoint has only 64"),
        ({f"{BACKBONE}.max_length": 32, f"{BACKBONE}.stride": 30}, "stride = 30 must be"),
        ({f"{BACKBONE}.pooling": "max"}, "pooling"),
        ({f"{BACKBONE}.freeze_layers": 9}, "freeze_layers = 9, but the checkpoint has 2"),
        ({"components.bert_textcat.class_weights": {"none": 2.0}}, "class_weights names labels"),
    ],
)
def test_bad_settings_are_one_clear_line(
    overrides: dict[str, object], message: str, train_args: list[str], tmp_path: Path
) -> None:
    usual = parse_config_overrides(list(train_args))
    with pytest.raises(BertZhError, match=re.escape(message)):
        train(CONFIG, tmp_path / "out", overrides={**usual, **overrides})
    assert not (tmp_path / "out").exists()


def test_a_config_of_another_extra_names_it(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spacy_transformers", None)  # as if not installed
    paths = {"paths.train": str(corpus / "train"), "paths.dev": str(corpus / "dev")}
    with pytest.raises(BertZhError, match=r"pip install \"spacy-bert-zh\[shared\]\""):
        train(CONFIG.with_name("shared.cfg"), tmp_path / "out", overrides=paths)
    assert not (tmp_path / "out").exists()


def test_bad_settings_exit_with_1(train_args: list[str], tmp_path: Path) -> None:
    done = run_cli("train", "no.cfg", "-o", tmp_path / "out", *train_args, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "✘ No config file at no.cfg"


def test_resume_refuses_another_config(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"config": "another"}))
    with pytest.raises(BertZhError, match="made with another config"):
        TrainingState.load(tmp_path, "this one")
    assert TrainingState.load(tmp_path / "nothing", "this one") is None
