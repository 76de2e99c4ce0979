"""`--code`: what a config names, and only a file of the user's registers."""

import json
from pathlib import Path

import pytest

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.train.code import import_code
from tests.conftest import REPOSITORY, run_cli

CONFIG = REPOSITORY / "benchmarks" / "ngrams.cfg"
CODE = """
import spacy

@spacy.registry.callbacks("named.v1")
def make_name():
    def name(nlp):
        nlp.meta["description"] = "named"
        return nlp

    return name
"""
STEPS = "--training.optimizer.learn_rate.total_steps", "10"
NAMED = "--nlp.after_creation", json.dumps({"@callbacks": "named.v1"})


@pytest.mark.parametrize("command", ["crossval", "curve", "search"])
def test_its_functions_are_there_to_train_and_to_predict(
    command: str, corpus: Path, tmp_path: Path
) -> None:
    code, space, output = (tmp_path / name for name in ("functions.py", "space.json", "out"))
    code.write_text(CODE)
    space.write_text(json.dumps({"training.batcher.size": {"choices": [16, 32]}}))
    train, dev = corpus / "train", corpus / "dev"
    given = {
        "crossval": [CONFIG, train, output, "--folds", 2],
        "curve": [CONFIG, train, output, "--dev", dev, "--shares", "0.2,0.4,0.7,1"],
        "search": [CONFIG, output, "--trials", 2, "--seeds", 1, "--space", space],
    }
    paths = ["--paths.train", train, "--paths.dev", dev, "--paths.labels", corpus / "labels.json"]
    rest = [*(paths if command == "search" else []), *STEPS, *NAMED]
    run_cli(command, *given[command], "--code", code, *rest)
    assert (output / "report.html").exists()
    for pipeline in output.rglob("model-best"):
        assert json.loads((pipeline / "meta.json").read_text("utf-8"))["description"] == "named"
    code.write_text(f"{CODE}\n# Another one.")
    done = run_cli(command, *given[command], "--code", code, *rest, check=False)
    assert done.returncode == 1 and f"{output} holds another {command}" in done.stderr


def test_a_file_that_fails_is_named(tmp_path: Path) -> None:
    code = tmp_path / "functions.py"
    with pytest.raises(BertZhError, match=r"functions\.py can't be imported: FileNotFoundError"):
        import_code(code)
    code.write_text("1 / 0")
    with pytest.raises(BertZhError, match="can't be imported: ZeroDivisionError"):
        import_code(code)
    assert import_code(None) == ""
