"""The Keras backbone: equal to the torch one in scores, gradients, learning and storage."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import Adam, Model
from thinc.types import Floats2d

pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")

import keras

from spacy_bert_zh.backbones.keras.backbone import KerasShim, build_keras_backbone_v1
from spacy_bert_zh.backbones.keras.weights import build_network, extract_weights, to_torch_layout
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.perturbation import Perturbation
from spacy_bert_zh.train.flow import train
from tests.conftest import REPOSITORY, make_docs, make_examples, teach

Backbone = Model[list[Doc], Floats2d]
ARCHITECTURE = "spacy_bert_zh.KerasBackbone.v1"


@pytest.fixture
def build(still: Path) -> Callable[..., Backbone]:
    """Build a backbone of either engine with the same weights."""

    def build(engine: Any = build_keras_backbone_v1, **settings: object) -> Backbone:
        given = {
            **{"max_length": 32, "stride": 8, "max_windows": 0, "pooling": "cls"},
            "mixed_precision": False,  # the same on every CPU
        }
        model = engine(str(still), **{**given, **settings})
        model.initialize()
        return model

    return build


def shim_of(model: Backbone) -> KerasShim:
    (shim,) = model.shims
    assert isinstance(shim, KerasShim)
    return shim


def gradients(model: Backbone) -> dict[str, np.ndarray]:
    """Of an arbitrary loss, in torch's layout."""
    vectors, backprop = model.begin_update(make_docs())
    backprop(np.random.default_rng(0).normal(size=vectors.shape).astype("float32"))
    found = {}

    def collect(key: Any, weights: Any, gradient: Any, **_: Any) -> Any:
        found[key[1]] = np.array(gradient)
        return weights, gradient

    model.finish_update(collect)  # type: ignore[arg-type]
    if isinstance(model.shims[0], KerasShim):
        found = {name: to_torch_layout(name, array) for name, array in found.items()}
    return found


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_vectors_are_those_of_torch(pooling: str, build: Callable[..., Backbone]) -> None:
    ours, torchs = build(pooling=pooling), build(build_torch_backbone_v1, pooling=pooling)
    np.testing.assert_allclose(ours.predict(make_docs()), torchs.predict(make_docs()), atol=1e-5)
    alone = [ours.predict([doc])[0] for doc in make_docs()]
    np.testing.assert_allclose(ours.predict(make_docs()), alone, atol=1e-5)
    assert ours.predict([]).shape == (0, 16)


@pytest.mark.parametrize("settings", [{}, {"gradient_checkpointing": True}, {"freeze_layers": 1}])
@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_gradients_are_those_of_torch(
    pooling: str, settings: dict[str, Any], build: Callable[..., Backbone]
) -> None:
    ours = gradients(build(pooling=pooling, **settings))
    torchs = gradients(build(build_torch_backbone_v1, pooling=pooling, **settings))
    assert ours.keys() == torchs.keys()
    for name, gradient in torchs.items():
        # The keys' biases have none but rounding: softmax doesn't see them.
        scale = max(abs(gradient).max(), 1e-2)
        np.testing.assert_allclose(ours[name], gradient, atol=1e-4 * scale, err_msg=name)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_noise_is_that_of_torch(pooling: str, build: Callable[..., Backbone]) -> None:
    found = []
    for engine in (build_keras_backbone_v1, build_torch_backbone_v1):
        model = build(engine, pooling=pooling)
        noise = model.shims[0].perturbation = Perturbation(model.ops)
        noise.searches = True
        for _ in range(2):
            vectors, backprop = model.begin_update(make_docs())
            backprop(np.random.default_rng(0).normal(size=vectors.shape).astype("float32"))
            noise.ascend(0.1, 0.15)
        moved, _ = model.begin_update(make_docs())
        found.append(moved)
        model.shims[0].perturbation = None
        before = model.predict(make_docs())
        assert np.abs(moved - before).max() > 1e-3
        model.finish_update(Adam(0.01))  # the search has left nothing to learn
        np.testing.assert_array_equal(model.predict(make_docs()), before)
    np.testing.assert_allclose(*found, atol=1e-4)


def test_an_optimizer_takes_the_same_step(build: Callable[..., Backbone]) -> None:
    after = []
    for engine in (build_keras_backbone_v1, build_torch_backbone_v1):
        model = build(engine, pooling="mean", layer_decay=0.5)
        vectors, backprop = model.begin_update(make_docs())
        backprop(np.ones_like(vectors) * np.linspace(-1, 1, 16, dtype="float32"))
        # Few biases' gradients are rounding, which Adam would blow up: a large eps.
        model.finish_update(Adam(0.01, eps=1e-2, L2=0.01, grad_clip=1.0))
        after.append(model.predict(make_docs()))
    np.testing.assert_allclose(*after, atol=1e-4)


def test_one_graph_serves_all_shapes(build: Callable[..., Backbone]) -> None:
    model = build(pooling="mean")
    random = np.random.default_rng(0)
    for _ in range(50):
        texts = ["好" * int(n) for n in random.integers(0, 90, size=random.integers(1, 6))]
        model.predict(make_docs(texts))
        _, backprop = model.begin_update(make_docs(texts))
        backprop(np.zeros((len(texts), 16), dtype="float32"))
    counts = [graph.experimental_get_tracing_count() for graph in shim_of(model).graphs.values()]
    assert counts == [1, 1]


def test_averages_are_used_and_given_back(build: Callable[..., Backbone]) -> None:
    model = build()
    before = model.predict(make_docs())
    key = (shim_of(model).id, "embeddings.LayerNorm.weight")
    with model.use_params({key: np.zeros(16, dtype="float32")}):
        assert not np.allclose(model.predict(make_docs()), before)
    np.testing.assert_array_equal(model.predict(make_docs()), before)


def test_each_engine_reads_what_the_other_wrote(
    still: Path, build: Callable[..., Backbone]
) -> None:
    ours, torchs = build(pooling="pooler"), build(build_torch_backbone_v1, pooling="pooler")
    expected = torchs.predict(make_docs())
    for writer, reader in ((ours, torchs), (torchs, ours)):
        reader.shims[0].from_bytes(writer.shims[0].to_bytes())
        np.testing.assert_allclose(reader.predict(make_docs()), expected, atol=1e-5)


def keras_pipeline(checkpoint: Path) -> Any:
    nlp = spacy.blank("zh")
    backbone = {"@architectures": ARCHITECTURE, "name": str(checkpoint), "max_length": 64}
    nlp.add_pipe("bert_textcat", config={"model": {"backbone": {**backbone, "stride": 8}}})
    return nlp


def test_a_pipeline_learns_and_is_stored(checkpoint: Path, tmp_path: Path) -> None:
    nlp = keras_pipeline(checkpoint)
    teach(nlp, make_examples(nlp, 64))
    assert nlp.evaluate(make_examples(nlp, 20, seed=5))["cats_macro_f"] > 0.8
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path)("味道不错").cats == nlp("味道不错").cats
    # As a pipeline of the other engine, by its config alone.
    config = json.loads(json.dumps(nlp.config).replace("KerasBackbone", "TorchBackbone"))
    other = spacy.blank("zh").from_config(config).from_disk(tmp_path, exclude=["vocab"])
    assert other("味道不错").cats == pytest.approx(nlp("味道不错").cats, abs=1e-5)
    nlp.resume_training()
    assert nlp.rehearse(make_examples(nlp, 4)) is not None


def test_the_config_learns(corpus: Path, checkpoint: Path, tmp_path: Path) -> None:
    overrides = {
        "training.optimizer.learn_rate.total_steps": 30,
        "training.optimizer.learn_rate.initial_rate": 5e-3,
        "training.optimizer.learn_rate.warmup_steps": 2,
        "training.eval_frequency": 10,
        "training.batcher.size": 16,
        "paths.train": str(corpus / "train"),
        "paths.dev": str(corpus / "dev"),
        "paths.labels": str(corpus / "labels.json"),
        "paths.weights": str(checkpoint),
        "components.bert_textcat.model.backbone.max_length": 64,
    }
    best = train(REPOSITORY / "configs" / "tensorflow.cfg", tmp_path, overrides=overrides)
    nlp = spacy.load(best)
    assert nlp("味道不错，推荐").cats["pos"] > 0.5 > nlp("难吃，失望").cats["pos"]


def test_dropout_follows_numpys_seed(checkpoint: Path) -> None:
    model = build_keras_backbone_v1(str(checkpoint), max_length=32, stride=8)
    model.initialize()
    runs = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        runs.append(model.begin_update(make_docs())[0])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])


def test_bfloat16_stays_close(build: Callable[..., Backbone]) -> None:
    exact, half = build(pooling="mean"), build(pooling="mean", mixed_precision=True)
    difference = abs(exact.predict(make_docs()) - half.predict(make_docs())).max()
    assert 0 < difference < 0.2


def test_what_is_wrong_with_a_checkpoint_is_said(still: Path) -> None:
    good = load_checkpoint(str(still))
    good.config["hidden_act"] = "softplus"
    with pytest.raises(BertZhError, match="hidden_act = 'softplus' is not known"):
        build_network(good, "cls")
    good.config.update(hidden_act="gelu", num_attention_heads=3)
    with pytest.raises(BertZhError, match="no multiple of num_attention_heads"):
        build_network(good, "cls")
    good.config["num_attention_heads"] = 2
    del good.weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(BertZhError, match=r"layer.1.output.dense.bias missing instead of \(16,\)"):
        build_network(good, "cls")


def test_weights_go_in_and_out_unchanged(still: Path) -> None:
    good = load_checkpoint(str(still))
    found = extract_weights(build_network(good, "pooler"))
    assert found.keys() <= good.weights.keys()
    assert len(found) > 30
    for name, array in found.items():
        np.testing.assert_array_equal(array, good.weights[name])


def test_summary_and_fit_of_plain_keras(still: Path) -> None:
    """The network is an ordinary Keras model."""
    keras.utils.set_random_seed(0)
    bert = build_network(load_checkpoint(str(still)), "mean")
    ids, lengths = keras.Input((8,), dtype="int32"), keras.Input((), dtype="int32")
    scores = keras.layers.Dense(2, activation="softmax")(bert(ids, lengths))
    model = keras.Model([ids, lengths], scores)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert f"{bert.count_params():,}" in "\n".join(lines)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    rows = np.random.default_rng(0).integers(5, 30, size=(32, 8)).astype("int32")
    inputs, truths = [rows, np.full(32, 8, dtype="int32")], (rows[:, 1] > 17).astype("int32")
    losses = model.fit(inputs, truths, epochs=100, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


PLAIN = """
import sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
import spacy
nlp = spacy.blank("zh")
backbone = {"@architectures": "spacy_bert_zh.KerasBackbone.v1", "name": sys.argv[1],
            "max_length": 64, "stride": 8}
nlp.add_pipe("bert_textcat", config={"model": {"backbone": backbone}})
for label in "ab":
    nlp.get_pipe("bert_textcat").add_label(label)
nlp.initialize()
print(nlp("好吃").cats)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("spacy_transformers") is not None,
    reason="spacy-transformers is installed, which imports torch into every pipeline",
)
def test_needs_neither_torch_nor_transformers(checkpoint: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, checkpoint],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.stdout.strip() == "{'a': 0.5, 'b': 0.5}", done.stderr[-2000:]


SPAWNED = """
import multiprocessing, sys
import spacy

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    nlp = spacy.load(sys.argv[1])
    texts = ["好吃", "难吃", "x"]
    together = [doc.cats for doc in nlp.pipe(texts)]
    print([doc.cats for doc in nlp.pipe(texts, n_process=2, batch_size=2)] == together)
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_several_processes_are_spawned_not_forked(
    method: str, checkpoint: Path, tmp_path: Path
) -> None:
    nlp = keras_pipeline(checkpoint)
    for label in "ab":
        nlp.get_pipe("bert_textcat").add_label(label)
    nlp.initialize()
    nlp.to_disk(tmp_path / "pipeline")
    script = tmp_path / "script.py"
    script.write_text(SPAWNED, "utf-8")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "pipeline", method], capture_output=True, text=True
    )
    if method == "spawn":
        assert done.stdout.strip() == "True", done.stderr[-2000:]
    else:
        assert "TensorFlow can't compute in a forked process" in done.stderr


TORCH_ALONE = """
import sys
import spacy
nlp = spacy.blank("zh")
nlp.add_pipe("bert_textcat", config={"model": {"backbone": {"name": sys.argv[1], "max_length": 64,
                                                            "stride": 8}}})
for label in "ab":
    nlp.get_pipe("bert_textcat").add_label(label)
nlp.initialize()
nlp("好吃")
print(sorted({"tensorflow", "keras"} & sys.modules.keys()))
"""


def test_a_pipeline_of_torch_leaves_tensorflow_alone(checkpoint: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "USE_TF"}
    done = subprocess.run(
        [sys.executable, "-c", TORCH_ALONE, checkpoint],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_the_weights_that_ship_give_the_same_in_windows_of_512() -> None:
    """Ragged batches up to 512 pieces."""
    texts = [
        "股市大涨，",
        "",
        "他说：" * 400,
        *(("新产品A1" * n)[: 7 * n] for n in range(1, 40, 6)),
    ]
    vectors = []
    for engine in (build_keras_backbone_v1, build_torch_backbone_v1):
        model = engine(max_length=512, stride=64, max_windows=0, pooling="mean")
        model.initialize()
        vectors.append(model.predict(make_docs(texts)))
    np.testing.assert_allclose(*vectors, atol=1e-5)
