"""Settings: one default everywhere, what the config says holds, and any label can be in it."""

import inspect
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.cli.package import package
from spacy.language import Language
from thinc.api import Config

from spacy_bert_zh.backbones.onnx.backbone import OnnxSettings, build_onnx_backbone_v1
from spacy_bert_zh.backbones.settings import Settings
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.flow import export
from spacy_bert_zh.textcat.architectures import build_bert_text_cat_ensemble_v1
from spacy_bert_zh.textcat.class_weights import as_json, check_writable, read_class_weights
from spacy_bert_zh.textcat.ngrams import build_ngram_linear_v2
from tests.conftest import FACTORIES, REPOSITORY, close, example_of, pipe_of

Make = Callable[..., Language]
MULTI = "bert_textcat_multilabel"
THRESHOLD = f"components.{MULTI}.threshold"


# One default


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_default_is_what_the_config_recommends(factory: str) -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe(factory)
    config = Config().from_disk(REPOSITORY / "configs" / "ensemble.cfg")
    recommended = config["components"]["bert_textcat"]["model"]
    model = nlp.get_pipe_config(factory)["model"]
    assert model["exclusive_classes"] is (factory == "bert_textcat")
    for section in ("backbone", "linear_model"):
        assert model[section].items() >= recommended[section].items()
    for name in ("@architectures", "dropout", "network_share"):
        assert model[name] == recommended[name]


def test_the_signatures_have_the_same_default() -> None:
    config = Config().from_disk(REPOSITORY / "configs" / "ensemble.cfg")
    model = config["components"]["bert_textcat"]["model"]
    for build, section in (
        (build_torch_backbone_v1, model["backbone"]),
        (build_onnx_backbone_v1, model["backbone"]),
        (build_ngram_linear_v2, model["linear_model"]),
        (build_bert_text_cat_ensemble_v1, model),
    ):
        for name, parameter in inspect.signature(build).parameters.items():
            if name in section and parameter.default is not inspect.Parameter.empty:
                assert parameter.default == section[name], (build.__name__, name)


@pytest.mark.parametrize(
    ("build", "kind"),
    [(build_torch_backbone_v1, Settings), (build_onnx_backbone_v1, OnnxSettings)],
)
def test_a_backbone_takes_its_settings(build: Callable[..., Any], kind: type[Settings]) -> None:
    parameters = inspect.signature(build).parameters
    there = {name: parameter.default for name, parameter in parameters.items()}
    assert there.pop("name") is None and there.pop("revision") == "main"
    defaults = {field.name: field.default for field in fields(kind)}
    assert there.items() <= defaults.items()
    assert build is build_onnx_backbone_v1 or there == defaults


@pytest.mark.parametrize(("length", "stride"), [(3, 0), (16, 2), (128, 16), (512, 64)])
def test_the_stride_follows_the_length(length: int, stride: int) -> None:
    assert build_torch_backbone_v1(max_length=length).shims[0].settings.shared == stride
    assert build_torch_backbone_v1(max_length=128, stride=64).shims[0].settings.shared == 64
    with pytest.raises(BertZhError, match=r"stride = 64 must .*stride = null is an eighth"):
        build_torch_backbone_v1(max_length=length if length < 66 else 66, stride=64)


# The config holds


@pytest.fixture
def saved(make_pipeline: Make, tmp_path: Path) -> Path:
    """A pipeline whose threshold is 0.6, in the config and in the component."""
    nlp = make_pipeline(MULTI, {"threshold": 0.6, "label_smoothing": 0.1})
    nlp.initialize(lambda: [example_of(nlp, {"a": 1.0, "b": 0.0})])
    nlp.to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def thresholds(nlp: Language) -> tuple[float, float]:
    """What the component does and what the config says."""
    return pipe_of(nlp).cfg["threshold"], nlp.config["components"][MULTI]["threshold"]


def test_an_override_holds_and_is_saved(saved: Path, tmp_path: Path) -> None:
    assert thresholds(spacy.load(saved)) == (0.6, 0.6)
    nlp = spacy.load(saved, config={THRESHOLD: 0.3, f"components.{MULTI}.label_smoothing": 0.2})
    assert thresholds(nlp) == (0.3, 0.3)
    assert pipe_of(nlp).cfg["label_smoothing"] == 0.2
    nlp.to_disk(tmp_path / "again")
    again = spacy.load(tmp_path / "again")
    assert thresholds(again) == (0.3, 0.3)
    by_bytes = spacy.blank("zh").from_config(again.config).from_bytes(spacy.load(saved).to_bytes())
    assert thresholds(by_bytes) == (0.3, 0.3)


def test_an_edited_config_holds(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved / "config.cfg"
    path.write_text(path.read_text("utf-8").replace("threshold = 0.6", "threshold = 0.2"), "utf-8")
    assert thresholds(spacy.load(saved)) == (0.2, 0.2)
    assert not caplog.records


def test_what_was_set_by_hand_is_kept_and_said(
    saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nlp = spacy.load(saved)
    pipe_of(nlp).cfg["threshold"] = 0.4
    nlp.to_disk(tmp_path / "by hand")
    with caplog.at_level(logging.WARNING):
        assert thresholds(spacy.load(tmp_path / "by hand"))[0] == 0.4
    assert "threshold = 0.6 in the config, but 0.4 in what was saved" in caplog.text
    overridden = spacy.load(tmp_path / "by hand", config={THRESHOLD: 0.9})
    assert thresholds(overridden) == (0.9, 0.9)


def test_a_pipeline_of_an_earlier_version(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved / MULTI / "cfg"
    cfg = {name: value for name, value in srsly.read_json(path).items() if name != "configured"}
    srsly.write_json(path, cfg)
    assert thresholds(spacy.load(saved)) == (0.6, 0.6)
    assert not caplog.records
    assert thresholds(spacy.load(saved, config={THRESHOLD: 0.3})) == (0.3, 0.3)
    assert "the config holds" in caplog.text


def test_a_component_can_be_read_after_it_failed_to(saved: Path, tmp_path: Path) -> None:
    pipe: Any = spacy.load(saved).get_pipe(MULTI)
    before, folder = dict(pipe.cfg), tmp_path / MULTI
    shutil.copytree(saved / MULTI, folder)
    (folder / "cfg").write_text("{", "utf-8")
    for _ in range(2):
        with pytest.raises(BertZhError, match="not valid JSON"):
            pipe.from_disk(folder, exclude=["vocab"])
    assert pipe.from_disk(saved / MULTI, exclude=["vocab"]).cfg == before


def test_other_class_weights_at_load(saved: Path) -> None:
    key = f"components.{MULTI}.class_weights"
    nlp = spacy.load(saved, config={key: as_json({"a": 2.0})})
    assert pipe_of(nlp).cfg["label_weights"] == {"a": 2.0}
    balanced = spacy.load(saved, config={key: "balanced"})
    with pytest.raises(BertZhError, match=r"counts the labels in nlp\.initialize"):
        balanced.update([example_of(balanced, {"a": 1.0})])


def test_the_settings_of_the_model_hold_at_load(checkpoint: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    backbone = {"name": str(checkpoint), "max_length": 64}
    nlp.add_pipe("bert_textcat", config={"model": {"backbone": backbone}})
    nlp.initialize(lambda: [example_of(nlp, {"a": 1.0, "b": 0.0})])
    nlp.to_disk(tmp_path)
    model = "components.bert_textcat.model"
    changed: dict[str, Any] = {"max_length": 32, "max_windows": 1, "mixed_precision": True}
    overrides = {f"{model}.backbone.{name}": value for name, value in changed.items()}
    more = {f"{model}.network_share": 0.5, f"{model}.linear_model.ngram_size": 2}
    loaded = pipe_of(spacy.load(tmp_path, config={**overrides, **more})).model
    found = loaded.get_ref("backbone").shims[0].settings.as_dict()
    assert found.items() >= {**changed, "stride": 4}.items()
    assert loaded.attrs["parts"] == 2.0
    assert loaded.layers[2].attrs["ngram_size"] == 2
    assert pipe_of(spacy.load(tmp_path)).model.attrs["parts"] == 2.5


def test_a_graph_cant_pool_in_another_way(trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path / "onnx", "onnx")
    key = "components.bert_textcat.model.backbone.pooling"
    with pytest.raises(BertZhError, match="pooling = 'cls', but the ONNX graph pools by 'mean'"):
        spacy.load(tmp_path / "onnx", config={key: "cls"})


# Any label

AWKWARD = [
    *("财经:交易", "a=b", " x ", "#", "; x", "[x]", "100%", "${paths.train}", "$5", "", '"', "'a'"),
    *("a\nb", "@x", "{", "\u2028", "a.b", "\\", "=", ":", "null", "DEFAULT"),
]
labels = st.sampled_from(AWKWARD) | st.text(max_size=8)


@settings(deadline=None)
@given(table=st.dictionaries(labels, st.floats(0, 100), min_size=1, max_size=4))
@example(table=dict.fromkeys(AWKWARD, 2.0))
def test_a_table_comes_back_or_is_refused(table: dict[str, float]) -> None:
    def back(value: Any) -> Any:
        config = Config({"component": {"class_weights": value}})
        for _ in range(2):
            config = Config().from_str(config.to_str()).interpolate()
        return read_class_weights(config["component"]["class_weights"])

    assert back(as_json(table)) == table
    try:
        check_writable(table)
    except BertZhError as error:
        assert "give the table as JSON in a string" in str(error)
    else:
        assert back(table) == table


def test_awkward_labels_train_and_are_saved(make_pipeline: Make, tmp_path: Path) -> None:
    awkward = [label for label in AWKWARD if label]
    table = {label: 1.0 + i for i, label in enumerate(awkward)}
    with pytest.raises(BertZhError, match=r"a config\.cfg can't hold this table"):
        make_pipeline(settings={"class_weights": {"财经:交易": 2.0}})
    nlp = make_pipeline(settings={"class_weights": as_json(table)})
    cats = [{label: float(label == one) for label in awkward} for one in awkward]
    examples = [example_of(nlp, each) for each in cats]
    nlp.update(examples, sgd=nlp.initialize(lambda: examples))
    nlp.to_disk(tmp_path / "saved")
    package(tmp_path / "saved", tmp_path, name="odd", create_wheel=False, create_sdist=False)
    (packaged,) = tmp_path.glob("zh_odd-*/zh_odd/zh_odd-*")
    by_bytes = spacy.blank("zh").from_config(nlp.config).from_bytes(nlp.to_bytes())
    for again in (spacy.load(tmp_path / "saved"), spacy.load(packaged), by_bytes):
        assert again("好吃").cats == close(nlp("好吃").cats)
        assert pipe_of(again).cfg["label_weights"] == table


def test_a_label_that_was_cut_in_two_is_explained(make_pipeline: Make) -> None:
    text = "[section]\n[section.class_weights]\n财经:交易 = 2.0\n"
    table = Config().from_str(text)["section"]["class_weights"]
    with pytest.raises(BertZhError, match=r"财经 = 交易 = 2\.0 must be .* as JSON in a string"):
        make_pipeline(settings={"class_weights": table})


# Windows

IMPORT = """
import os, sys
import spacy, tokenizers, torch, transformers
del os.register_at_fork
import spacy_bert_zh.backbones.torch.bert
spacy.blank("zh").add_pipe("bert_textcat")
"""


def test_it_imports_where_there_is_no_fork() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
