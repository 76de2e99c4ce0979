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
from typing import Any

import pytest
import spacy
from spacy.cli._util import parse_config_overrides
from spacy.tokens import DocBin
from thinc import compat

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files.outputs import made
from spacy_bert_zh.loading.pipeline import use_gpu
from spacy_bert_zh.textcat import table_of
from spacy_bert_zh.train.config import choose_frequency
from spacy_bert_zh.train.flow import train
from spacy_bert_zh.train.resume import TrainingState
from tests.conftest import REPOSITORY, pipe_of, run_cli

CONFIG = REPOSITORY / "configs" / "torch.cfg"
STEPS = "training.optimizer.learn_rate.total_steps"
RATE = "training.optimizer.learn_rate.initial_rate"
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
    assert files(tmp_path) == files(trained.parent)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def steps_of(folder: Path) -> list[int]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


@pytest.mark.parametrize(
    ("overrides", "evaluated"),
    [
        ({STEPS: 3, "training.eval_frequency": 10}, [0, 3]),
        ({STEPS: 12, "training.eval_frequency": 5}, [0, 5, 10, 12]),
        ({"training.max_epochs": 1, "training.eval_frequency": 5}, [0, 5, 7]),
        ({"training.patience": 4, "training.eval_frequency": 5, RATE: 0.0}, [0, 4]),
        ({STEPS: 20, "training.eval_frequency": 0}, list(range(0, 21, 2))),
        ({STEPS: 3, "training.eval_frequency": 0}, [0, 1, 2, 3]),
        ({"training.max_epochs": 2, "training.eval_frequency": 0}, [*range(0, 15, 2), 15]),
        (
            {"training.max_epochs": -1, "training.max_steps": 9, "training.eval_frequency": 4},
            [0, 4, 8, 9],
        ),
    ],
)
def test_the_last_step_is_evaluated_however_the_training_ends(
    overrides: dict[str, Any], evaluated: list[int], train_args: list[str], tmp_path: Path
) -> None:
    usual = parse_config_overrides(list(train_args))
    train(CONFIG, tmp_path / "out", overrides={**usual, **overrides}, force=True)
    assert steps_of(tmp_path / "out") == evaluated
    meta = json.loads((tmp_path / "out" / "model-last" / "meta.json").read_text("utf-8"))
    assert meta["training"]["step"] == evaluated[-1]


def test_ngrams_are_solved_by_all_texts_of_a_stream(train_args: list[str], tmp_path: Path) -> None:
    overrides = {**parse_config_overrides(list(train_args)), "training.max_steps": 1}
    tables = []
    for epochs in (0, -1):
        given = {**overrides, "training.max_epochs": epochs}
        config = REPOSITORY / "configs" / "ensemble.cfg"
        train(config, tmp_path / str(epochs), overrides=given, force=True)
        nlp = spacy.load(tmp_path / str(epochs) / "model-last")
        assert nlp.config["training"]["max_epochs"] == epochs
        tables.append(table_of(pipe_of(nlp).model.layers[-1]))
    assert tables[0].weights.any() and (tables[1].keys == tables[0].keys).all()
    assert tables[1].weights == pytest.approx(tables[0].weights, abs=1e-5)


@pytest.mark.parametrize(
    ("training", "epoch", "frequency"),
    [
        ({"max_steps": 450, "max_epochs": 0, "patience": 1600}, 7, 45),
        ({"max_steps": 20_000, "max_epochs": 0, "patience": 1600}, 7, 200),
        ({"max_steps": 20_000, "max_epochs": 0, "patience": 100}, 7, 100),
        ({"max_steps": 0, "max_epochs": 0, "patience": 0}, 7, 200),
        ({"max_steps": 1200, "max_epochs": 3, "patience": 0}, 16, 5),
        ({"max_steps": 1200, "max_epochs": -1, "patience": 0}, 16, 120),
    ],
)
def test_evaluations_follow_the_length(
    training: dict[str, int], epoch: int, frequency: int
) -> None:
    assert choose_frequency(training, lambda: epoch) == frequency


def test_the_configs_leave_the_frequency_to_the_length(
    train_args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = parse_config_overrides(list(train_args))
    del overrides["training.eval_frequency"]
    train(CONFIG, tmp_path / "out", overrides={**overrides, STEPS: 5}, force=True)
    assert "Evaluating every 1 steps (training.eval_frequency)" in capsys.readouterr().out
    config = spacy.util.load_config(tmp_path / "out" / "model-best" / "config.cfg")
    assert config["training"]["eval_frequency"] == 1


@pytest.mark.parametrize("evaluations", [1, 3, 4])
def test_a_kill_after_any_evaluation_ends_in_the_same_bytes(
    evaluations: int, train_args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = parse_config_overrides(list(train_args))
    overrides |= {STEPS: 12, "training.eval_frequency": 5}  # 0, 5, 10 and the last one
    train(CONFIG, tmp_path / "whole", overrides=overrides, force=True)
    save, saved = TrainingState.save, []

    def killed(*args: Any) -> None:
        save(*args)
        saved.append(args)
        if len(saved) == evaluations:
            raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(TrainingState, "save", killed)
        train(CONFIG, tmp_path / "killed", overrides=overrides, force=True)
    train(CONFIG, tmp_path / "killed", overrides=overrides, force=True, resume=True)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


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
        ({"training.unheard_of": 3}, "training.unheard_of is unknown"),
        ({"training.max_step": 3}, "training.max_step is unknown: did you mean max_steps?"),
        ({"components.bert_textcat.unheard_of": 3}, "unheard_of"),
        ({f"{BACKBONE}.unheard_of": 3}, "unheard_of"),
        ({"unheard_of.steps": 3}, "unheard_of.steps: not a section"),
        ({"training.max_steps": "many"}, "max_steps: Input should be a valid integer"),
        ({"paths.labels": "no/labels.json"}, "labels.json"),
        ({f"{BACKBONE}.@architectures": "spacy_bert_zh.None.v1"}, "spacy_bert_zh.None.v1"),
        ({"training.score_weights.nothing": 1.0}, "score_weights"),
    ],
)
def test_bad_settings_are_one_clear_line(
    overrides: dict[str, object], message: str, train_args: list[str], tmp_path: Path
) -> None:
    usual = parse_config_overrides(list(train_args))
    with pytest.raises(BertZhError, match=re.escape(message)):
        train(CONFIG, tmp_path / "out", overrides={**usual, **overrides})
    assert not (tmp_path / "out").exists()


def write_shard(path: Path, cats: list[dict[str, float]]) -> Path:
    nlp = spacy.blank("zh")
    docs = [nlp(f"第{number}条") for number in range(len(cats))]
    for doc, values in zip(docs, cats, strict=True):
        doc.cats = values
    DocBin(docs=docs).to_disk(path)
    return path


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("epochs", [0, -1])
@pytest.mark.parametrize(
    ("cats", "message"),
    [
        ([], "holds no text|no proper sample data"),
        ([{"neg": 1.0, "pos": 0.0}, {"neg": 0.0, "房产": 1.0}], "corpora.* '房产', at '第1条'"),
    ],
)
def test_corpora_that_nothing_can_be_learnt_from(
    split: str,
    epochs: int,
    cats: list[dict[str, float]],
    message: str,
    train_args: list[str],
    tmp_path: Path,
) -> None:
    overrides = parse_config_overrides(list(train_args))
    overrides[f"paths.{split}"] = str(write_shard(tmp_path / "00000.spacy", cats))
    overrides |= {"training.max_epochs": epochs, "training.max_steps": 3}
    with pytest.raises(BertZhError, match=message) as raised:
        train(CONFIG, tmp_path / "out", overrides=overrides)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out" / "model-best").exists()


@pytest.mark.parametrize("split", ["train", "dev"])
def test_shards_that_are_none(split: str, train_args: list[str], tmp_path: Path) -> None:
    overrides = parse_config_overrides(list(train_args))
    (tmp_path / "empty").mkdir()
    overrides[f"paths.{split}"] = str(tmp_path / "empty")
    with pytest.raises(BertZhError, match=rf"corpora.{split}.path: no .spacy file in"):
        train(CONFIG, tmp_path / "out", overrides=overrides)
    (tmp_path / "broken.spacy").write_bytes(b"no DocBin")
    overrides[f"paths.{split}"] = str(tmp_path / "broken.spacy")
    with pytest.raises(BertZhError) as raised:
        train(CONFIG, tmp_path / "out", overrides=overrides)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("labels", ['["only"]', '{"a": 1}', "[1, 2]", '"neg"', "[", ""])
def test_label_files_that_are_none(labels: str, train_args: list[str], tmp_path: Path) -> None:
    overrides = parse_config_overrides(list(train_args))
    (tmp_path / "labels.json").write_text(labels, "utf-8")
    overrides["paths.labels"] = str(tmp_path / "labels.json")
    with pytest.raises(BertZhError) as raised:
        train(CONFIG, tmp_path / "out", overrides=overrides)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_gpu_without_its_library_names_it(command: str, tmp_path: Path) -> None:
    rest = ["-o", "out"] if command == "train" else ["corpus", "metrics"]
    config = CONFIG if command == "train" else "pipeline"
    done = run_cli(command, config, *rest, "--gpu-id", 0, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("has", "message"),
    [
        ({"has_cupy": False}, r"pip install \"spacy-bert-zh\[cuda12x\]\""),
        ({"has_cupy": True, "has_cupy_gpu": False}, "no GPU is to be seen here"),
        (
            {"has_cupy": True, "has_cupy_gpu": True, "has_torch_cuda_gpu": False},
            "torch that is installed sees no GPU",
        ),
    ],
)
def test_what_a_gpu_lacks_is_said(
    has: dict[str, bool], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"has_torch_mps": False, "has_torch_mps_gpu": False, **has}.items():
        monkeypatch.setattr(compat, name, value)
    with pytest.raises(BertZhError, match=message):
        use_gpu(0)


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


def test_code_that_is_broken_is_one_clear_line(train_args: list[str], tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("registry.callbacks('mine.v1')")
    args = ["train", CONFIG, "-o", tmp_path / "out", "--code", code, *train_args]
    done = run_cli(*args, check=False)
    assert done.returncode == 1
    expected = f"✘ {code} can't be imported: NameError: name 'registry' is not defined"
    assert done.stderr.strip() == expected


def test_resume_refuses_another_config(corpus: Path, tmp_path: Path) -> None:
    with made(tmp_path / "checkpoint", "train") as part:
        part.mkdir()
        (part / "state.json").write_text(json.dumps({"config": "another"}))
    with pytest.raises(BertZhError, match="made with another config"):
        TrainingState.load(tmp_path / "checkpoint", "this one")
    assert TrainingState.load(tmp_path / "nothing", "this one") is None
