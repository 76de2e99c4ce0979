"""What the Keras engine writes for others: SavedModel, .keras, checkpoints, wheels."""

import email
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy

pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")

import keras
import torch
from spacy.language import Language
from transformers import AutoTokenizer, BertForMaskedLM

from spacy_bert_zh.backbones.keras.bert import Bert
from spacy_bert_zh.backbones.keras.heads import Classifier
from spacy_bert_zh.backbones.keras.weights import build_masked_lm, build_network, extract_weights
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.checkpoint.saving import save_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.flow import export
from spacy_bert_zh.package.flow import package
from tests.conftest import TEXTS, close, initialized, pipe_of, run_cli

# Nothing of ours may be needed where a SavedModel is read.
READER = """
import json, sys
sys.modules["spacy_bert_zh"] = sys.modules["spacy"] = sys.modules["torch"] = None
sys.modules["keras"] = None
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
texts = json.loads(sys.stdin.read())
found = model.signatures["strings"](tf.constant(texts))
labels = [label.decode() for label in found["labels"].numpy()[0]]
print(json.dumps([dict(zip(labels, row)) for row in found["scores"].numpy().tolist()]))
"""

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(still: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Save a pipeline with arbitrary weights in its head; `ngrams` beside it, if wanted."""

    def make(ngrams: bool = False, factory: str = "bert_textcat", **backbone: object) -> Path:
        nlp = spacy.blank("zh")
        engine = {"@architectures": "spacy_bert_zh.KerasBackbone.v1", "name": str(still)}
        settings = {"max_length": 32, "stride": 8, "max_windows": 0, "pooling": "mean"}
        model: dict[str, Any] = {"backbone": {**engine, **settings, **backbone}}
        model["exclusive_classes"] = factory == "bert_textcat"
        model["@architectures"] = "spacy_bert_zh.BertTextCat.v1"
        if ngrams:
            model["@architectures"] = "spacy_bert_zh.BertTextCatEnsemble.v1"
            linear = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096}
            model["linear_model"] = linear
        nlp.add_pipe(factory, config={"model": model})
        network = initialized(nlp, ["财经", "体育", "科技"]).model
        rng = np.random.default_rng(0)
        for part in [network.get_ref("output_layer"), *network.layers[2:] * ngrams]:
            shape = part.get_param("W").shape
            part.set_param("W", rng.normal(size=shape).astype("float32") / (50 if ngrams else 1))
        folder = tmp_path_factory.mktemp("pipeline")
        nlp.to_disk(folder)
        return folder

    return make


def read_elsewhere(model: Path, texts: list[str]) -> list[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-c", READER, str(model)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    scores: list[dict[str, float]] = json.loads(done.stdout)
    return scores


def cats(nlp: Language, texts: list[str]) -> list[dict[str, Any]]:
    return [close(doc.cats) for doc in nlp.pipe(texts)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ngrams": True, "pooling": "pooler"},
        {"factory": "bert_textcat_multilabel", "pooling": "cls", "max_windows": 2},
    ],
)
def test_a_savedmodel_reads_texts_without_this_package(
    settings: dict[str, Any], make: Make, tmp_path: Path
) -> None:
    pipeline = make(**settings)
    model = export(pipeline, tmp_path / "model", "savedmodel")
    texts = [*TEXTS, "IPhone 15发布，ＡＢ股大涨", "好" * 300]
    expected = cats(spacy.load(pipeline), texts)
    assert len({json.dumps(doc, default=str) for doc in expected}) == len(texts)
    assert read_elsewhere(model, texts) == expected
    assert json.loads((model / "assets.extra" / "labels.json").read_text("utf-8")) == [
        "财经",
        "体育",
        "科技",
    ]


def test_a_savedmodel_reads_ids(make: Make, tmp_path: Path) -> None:
    import tensorflow as tf

    pipeline = make()
    done = run_cli("export", pipeline, tmp_path / "model", "-f", "savedmodel", "--no-strings")
    assert "✔" in done.stdout
    model = tf.saved_model.load(str(tmp_path / "model"))
    assert set(model.signatures) == {"ids", "serving_default"}
    texts = TEXTS[:3]
    pieces = AutoTokenizer.from_pretrained(tmp_path / "model" / "assets.extra")(texts)["input_ids"]
    lengths = [len(row) for row in pieces]
    ids = [row + [0] * (max(lengths) - len(row)) for row in pieces]
    found = model.signatures["ids"](ids=tf.constant(ids), lengths=tf.constant(lengths))
    labels = [label.decode() for label in found["labels"].numpy()[0]]
    rows = [dict(zip(labels, row, strict=True)) for row in found["scores"].numpy().tolist()]
    assert rows == cats(spacy.load(pipeline), texts)


def test_ngrams_need_the_text(make: Make, tmp_path: Path) -> None:
    pipeline = make(ngrams=True)
    with pytest.raises(BertZhError, match="can't do with ids alone"):
        export(pipeline, tmp_path / "model", "savedmodel", strings=False)
    with pytest.raises(BertZhError, match=r"a \.keras file reads ids alone"):
        export(pipeline, tmp_path / "model.keras", "keras")
    assert list(tmp_path.iterdir()) == []


def test_a_keras_file_is_read_again(make: Make, tmp_path: Path) -> None:
    pipeline = make()
    path = export(pipeline, tmp_path / "model.keras", "keras")
    model = keras.saving.load_model(path)
    assert isinstance(model, Classifier)
    nlp = spacy.load(pipeline)
    (doc,) = nlp.pipe(["味道不错"])
    backbone = pipe_of(nlp).model.get_ref("backbone")
    (batch,) = backbone.shims[0].encode([doc], False).batches
    scores = model({"ids": batch.ids[None].astype("int32"), "lengths": batch.lengths})
    assert dict(zip(model.labels, np.asarray(scores)[0].tolist(), strict=True)) == close(doc.cats)


@pytest.mark.parametrize("engine", ["torch", "tensorflow"])
def test_a_pipeline_changes_its_engine(engine: str, make: Make, tmp_path: Path) -> None:
    pipeline = make(ngrams=True)
    there = export(pipeline, tmp_path / "there", engine)
    back = export(there, tmp_path / "back", "tensorflow")
    architecture = spacy.load(there).config["components"]["bert_textcat"]["model"]["backbone"]
    expected = {"torch": "TorchBackbone", "tensorflow": "KerasBackbone"}[engine]
    assert architecture["@architectures"] == f"spacy_bert_zh.{expected}.v1"
    for path in (there, back):
        assert cats(spacy.load(path), TEXTS) == cats(spacy.load(pipeline), TEXTS)


def test_the_head_of_masked_language_modelling_goes_both_ways(
    checkpoint: Path, tmp_path: Path
) -> None:
    read = load_checkpoint(str(checkpoint))
    network = build_masked_lm(read)
    ids = np.random.default_rng(0).integers(5, 40, size=(3, 12)).astype("int32")
    lengths = np.asarray([12, 7, 1], dtype="int32")
    logits = np.asarray(network(ids, lengths))
    read.weights.clear()
    read.weights.update(extract_weights(network))
    save_checkpoint(read, tmp_path / "saved")
    for folder in (checkpoint, tmp_path / "saved"):
        torchs, report = BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"]
        mask = torch.from_numpy(np.arange(12) < lengths[:, None]).long()
        with torch.no_grad():
            expected = torchs.eval()(torch.from_numpy(ids).long(), attention_mask=mask).logits
        for row, length in enumerate(lengths):
            np.testing.assert_allclose(logits[row, :length], expected[row, :length], atol=1e-5)
    # A masked language model is also a file of Keras.
    network.save(tmp_path / "masked.keras")
    again = keras.saving.load_model(tmp_path / "masked.keras")
    np.testing.assert_allclose(np.asarray(again(ids, lengths)), logits, atol=1e-6)


JAX = """
import sys
import numpy as np
import keras
from spacy_bert_zh.backbones.keras.weights import build_network
from spacy_bert_zh.checkpoint.folder import load_checkpoint
assert keras.backend.backend() == "jax"
bert = build_network(load_checkpoint(sys.argv[1]), "mean")
data = np.load(sys.argv[2])
np.save(sys.argv[3], np.asarray(bert(data["ids"], data["lengths"])))
"""


def test_the_network_also_runs_on_jax(still: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    ids = np.random.default_rng(0).integers(5, 40, size=(4, 20)).astype("int32")
    lengths = np.asarray([20, 3, 1, 11], dtype="int32")
    np.savez(tmp_path / "in.npz", ids=ids, lengths=lengths)
    words = [still, tmp_path / "in.npz", tmp_path / "out.npy"]
    subprocess.run(
        [sys.executable, "-c", JAX, *map(str, words)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    bert = build_network(load_checkpoint(str(still)), "mean")
    assert isinstance(bert, Bert)
    expected = np.asarray(bert(ids, lengths))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


def test_the_wheel_needs_tensorflow_and_not_torch(make: Make, tmp_path: Path) -> None:
    made = package(make(), tmp_path / "wheels", force=True)
    with zipfile.ZipFile(made.wheels[0]) as wheel:
        (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
        message = email.message_from_bytes(wheel.read(name))
    required = message.get_all("Requires-Dist") or []
    assert any(line.startswith("spacy-bert-zh[tensorflow]") for line in required)
    assert not any("torch" in line or "transformers" in line for line in required)
