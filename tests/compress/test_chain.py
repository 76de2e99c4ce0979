"""The chain under a budget: what it writes, what it refuses, and that it goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.compress import compress_to
from spacy_bert_zh.compress.budget import parse_budget
from spacy_bert_zh.compress.measuring import fewest
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import most_lost
from spacy_bert_zh.loading import load_pipeline, shims_of
from tests.compress.pipelines import ensemble
from tests.conftest import close, make_examples, make_rows, pipe_of

LOOSE: dict[str, Any] = {"loss": 0.4, "minutes": 0.02}
TEXTS = [text for text, _ in make_rows(30, 11)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline, texts that it has learnt from, and others."""
    folder = tmp_path_factory.mktemp("compress")
    nlp = ensemble()
    nlp.to_disk(folder / "nlp")
    for name, count, seed in (("train", 100, 1), ("dev", 200, 9)):
        (folder / name).mkdir()
        docs = [example.reference for example in make_examples(nlp, count, seed)]
        DocBin(docs=docs).to_disk(folder / name / "0.spacy")
    return folder


def test_what_budgets_mean() -> None:
    assert parse_budget("0.5mb").megabytes == 0.5
    for wrong in ("4", "0 MB", "4 GB", "fast"):
        with pytest.raises(BertZhError, match="give a size such as"):
            parse_budget(wrong)
    texts = fewest(0.003)
    assert most_lost(0, 0, texts) <= 0.003 < most_lost(0, 0, texts - 1)


def test_a_size_is_reached_by_the_vocabulary(places: Path, tmp_path: Path) -> None:
    report = compress_to(places / "nlp", tmp_path / "out", places / "dev", "0.4 MB", **LOOSE)
    given, small = report["points"]
    assert small["megabytes"] <= 0.4 < given["megabytes"] and report["chosen"] == 1
    assert small["agreement"] > 0.9
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        "pipeline",
        "report.html",
        "report.json",
    ]
    noted = json.loads((tmp_path / "out" / "pipeline" / "meta.json").read_text())["compress"]
    assert noted["steps"] == ["vocabulary"]


def test_narrower_forms_learn_and_learn_on(places: Path, tmp_path: Path) -> None:
    words = [places / "nlp", tmp_path / "out", "--dev", places / "dev", "--train", places / "train"]
    words += ["--budget", "0.0205 MB", "--loss", 0.45, "--minutes", 0.02, "--agree", 0.9]
    done = CliRunner().invoke(app, ["compress", *map(str, words)])
    assert done.exit_code in (0, 1), done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    sizes = [point["megabytes"] for point in report["points"]]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) > 3, done.output
    assert done.exit_code == 0, done.output
    small, learns = (load_pipeline(tmp_path / "out" / name) for name in ("int8", "pipeline"))
    # In the order of the texts, and in all forms nearly the same.
    said = [doc.cats for doc in small.pipe(TEXTS)]
    assert said == [close(small(text).cats, 1e-5) for text in TEXTS]
    pairs = zip(said, learns.pipe(TEXTS), strict=True)
    assert np.mean([(one["pos"] > 0.5) == (doc.cats["pos"] > 0.5) for one, doc in pairs]) > 0.8
    (shim,) = shims_of(pipe_of(learns).model)
    assert shim.config["head_dim"] * shim.config["num_attention_heads"] < 16
    train_on(tmp_path, places)


def train_on(tmp_path: Path, places: Path) -> None:
    """`spacy train` goes on with what was compressed."""
    config = spacy.blank("zh").config
    config["nlp"]["pipeline"] = ["bert_textcat"]
    config["components"] = {"bert_textcat": {"source": str(tmp_path / "out" / "pipeline")}}
    config.to_disk(tmp_path / "config.cfg")
    words = ["--paths.train", places / "train", "--paths.dev", places / "dev"]
    words += ["--training.max_steps", 4, "--training.eval_frequency", 2]
    import subprocess
    import sys

    done = subprocess.run(
        [
            *(sys.executable, "-m", "spacy", "train", tmp_path / "config.cfg"),
            *("--output", tmp_path / "on", *map(str, words)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert load_pipeline(tmp_path / "on" / "model-last")("味道不错").cats


def test_a_run_goes_on(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spacy_bert_zh.compress import ladder

    export = ladder.export

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(ladder, "export", killed)
    given = (places / "nlp", tmp_path / "out", places / "dev", "0.025 MB")
    with pytest.raises(KeyboardInterrupt):
        compress_to(*given, **LOOSE)
    assert not (tmp_path / "out" / "pipeline").exists()
    monkeypatch.setattr(ladder, "export", export)
    said: list[str] = []
    report = compress_to(*given, **LOOSE, say=said.append)
    assert [line.split(":")[0] for line in said if " MB" in line] == ["int8"]
    assert report["chosen"] == 2


def test_what_can_t_be_is_said(places: Path, trained: Path, corpus: Path, tmp_path: Path) -> None:
    given = (places / "nlp", tmp_path / "out", places / "dev")
    with pytest.raises(BertZhError, match=r"99 texts, half of --dev, are too few .* give 1,8"):
        compress_to(*given, "4 MB")
    with pytest.raises(BertZhError, match=r"the last that was shown to is .* give --train"):
        compress_to(*given, "0.001 MB", **LOOSE)
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "pipeline").exists()
    with pytest.raises(BertZhError, match="no n-grams stand beside its BERT"):
        compress_to(trained, tmp_path / "no", corpus / "dev", "4 MB", agree=0.9, **LOOSE)
    docs = [spacy.blank("zh").make_doc("一般")]
    docs[0].cats = {"so-so": 1.0}
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    with pytest.raises(BertZhError, match="labels that the pipeline was not trained on: so-so"):
        compress_to(places / "nlp", tmp_path / "no", tmp_path / "dev.spacy", "4 MB")
