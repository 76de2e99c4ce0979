"""Trees of labels in other forms: no label scores more than its parent anywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import spacy

from spacy_bert_zh.export.flow import export
from tests.conftest import close, lower, pipe_of

TEXTS = ["味道不错，推荐", "这家店太慢，老板服务冷淡", "牛肉面也难吃。", "x"]


@pytest.fixture(scope="module")
def raised(hierarchical: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline, where a parent has its score of the labels below it."""
    nlp = spacy.load(hierarchical)
    lower(pipe_of(nlp), "好评")
    apart = pipe_of(nlp).model.predict([nlp.make_doc(text) for text in TEXTS])
    assert pipe_of(nlp).tree.violations(apart).any()
    folder = tmp_path_factory.mktemp("raised") / "pipeline"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def expected(raised: Path) -> list[dict[str, float]]:
    return [doc.cats for doc in spacy.load(raised).pipe(TEXTS)]


def test_onnx_as_a_pipeline_and_as_plain_files(
    raised: Path, expected: list[dict[str, float]], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="[onnx-export] is not installed")
    from tokenizers import Tokenizer

    made = export(raised, tmp_path / "onnx", "onnx")
    nlp = spacy.load(made)
    assert pipe_of(nlp).cfg["taxonomy"]
    assert [doc.cats for doc in nlp.pipe(TEXTS)] == [close(cats) for cats in expected]
    tokenizer = Tokenizer.from_file(str(made / "onnx" / "tokenizer.json"))
    encodings = tokenizer.encode_batch(TEXTS)
    fed = {
        "input_ids": np.asarray([one.ids for one in encodings], dtype="int64"),
        "attention_mask": np.asarray([one.attention_mask for one in encodings], dtype="int64"),
    }
    session = onnxruntime.InferenceSession(made / "onnx" / "model.onnx")
    labels = json.loads((made / "onnx" / "labels.json").read_text("utf-8"))
    (scores,) = session.run(["scores"], fed)
    found = [dict(zip(labels, row, strict=True)) for row in scores.tolist()]
    assert found == [close(cats) for cats in expected]


def test_tensorflow_in_all_its_forms(
    raised: Path, expected: list[dict[str, float]], tmp_path: Path
) -> None:
    tf = pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")
    import keras

    nlp = spacy.load(export(raised, tmp_path / "keras", "tensorflow"))
    assert [doc.cats for doc in nlp.pipe(TEXTS)] == [close(cats) for cats in expected]
    labels = list(pipe_of(nlp).labels)
    model = tf.saved_model.load(export(raised, tmp_path / "saved", "savedmodel"))
    scores = model.signatures["strings"](tf.constant(TEXTS))["scores"].numpy()
    found = [dict(zip(labels, row, strict=True)) for row in scores.tolist()]
    assert found == [close(cats) for cats in expected]
    file = keras.models.load_model(export(raised, tmp_path / "file.keras", "keras"))
    shim = pipe_of(nlp).model.get_ref("backbone").shims[0]
    for text, cats in zip(TEXTS, expected, strict=True):
        (batch,) = shim.encode([nlp.make_doc(text)], False).batches
        ids = {"ids": batch.ids[None].astype("int32"), "lengths": batch.lengths}
        assert dict(zip(labels, np.asarray(file(ids))[0].tolist(), strict=True)) == close(cats)
