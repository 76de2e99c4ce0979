"""Pipelines, graphs and metrics of others: what can't be right is one line."""

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import spacy
import srsly
from onnx import TensorProto, helper

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.onnx.reading import check_graph
from spacy_bert_zh.backbones.torch.backbone import TorchShim
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading.folders import read_meta
from spacy_bert_zh.loading.pipeline import load_pipeline
from spacy_bert_zh.package.flow import package, read_facts
from tests.conftest import initialized


@pytest.fixture
def pipeline(make_pipeline: Any, tmp_path: Path) -> Path:
    """A pipeline on disk, to change."""
    nlp = make_pipeline()
    initialized(nlp)
    nlp.to_disk(tmp_path / "pipeline")
    return tmp_path / "pipeline"


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}))


def change_model(path: Path, change: Any) -> None:
    message = srsly.msgpack_loads(path.read_bytes())
    change(message)
    path.write_bytes(srsly.msgpack_dumps(message))


CFG, MODEL = "bert_textcat/cfg", "bert_textcat/model"


def write(name: str, content: bytes) -> Any:
    return lambda folder: (folder / name).write_bytes(content)


def cfg(**values: Any) -> Any:
    return lambda folder: change_json(folder / CFG, **values)


def model(change: Any) -> Any:
    return lambda folder: change_model(folder / MODEL, change)


def replace(name: str, old: str, new: str) -> Any:
    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), "utf-8")

    return change


def params(node: int, **values: Any) -> Any:
    return model(lambda message: message["params"][node].update(values))


DAMAGES = [
    (write(MODEL, b""), "bert_textcat/model is empty"),
    (write(MODEL, b"\xdd\xff\xff\xff\xff"), "bert_textcat/model is damaged"),
    (write(MODEL, b"{}"), "bert_textcat/model is"),
    (write(MODEL, b"\x80"), "'bert_textcat'"),
    (lambda folder: (folder / MODEL).unlink(), "bert_textcat/model is missing"),
    (lambda folder: shutil.rmtree(folder / "bert_textcat"), "bert_textcat/cfg is missing"),
    (write(CFG, b"{"), "bert_textcat/cfg is not valid JSON"),
    (write(CFG, b"{}"), "bert_textcat/cfg lacks labels"),
    (cfg(labels=["a", "b"]), r"shape \(3, 16\), but .* ask for \(2, 16\)"),
    (cfg(labels=["a", "b", "b"]), "has the label 'b' twice"),
    (cfg(labels="abc"), "labels = 'abc'"),
    (cfg(labels=["a", "b", 3]), r"labels\.2 = 3"),
    (cfg(threshold="0.5"), "threshold = '0.5'"),
    (cfg(threshold=[0.5]), r"threshold = \[0.5\]"),
    (cfg(threshold=True), "threshold = True"),
    (cfg(threshold=1e9), "threshold = 1000000000.0"),
    (cfg(label_weights={"a": "1"}), r"label_weights\.a = '1'"),
    (params(3, W=np.zeros((3, 15), "float32")), r"bert_textcat_head\.W have shape \(3, 15\)"),
    (params(3, b=np.zeros((3, 1), "float32")), r"bert_textcat_head\.b have shape \(3, 1\)"),
    (params(3, W=np.zeros((3, 16))), r"bert_textcat_head\.W are float64"),
    (params(3, W=np.full((3, 16), np.nan, "float32")), "hold NaN or infinity"),
    (params(3, W="x"), "'bert_textcat'"),
    (model(lambda message: message["attrs"].pop()), "'bert_textcat'"),
    (model(lambda message: message["shims"][1].clear()), "'bert_textcat'"),
    (model(lambda message: message["nodes"].pop()), "mismatched structure"),
    (
        model(lambda message: message["attrs"][3].update(exclusive_classes=b"\xc2")),
        "made with exclusive_classes = False, but config.cfg says True",
    ),
    (write("meta.json", b"[]"), "meta.json is not a JSON object"),
    (write("meta.json", b'{"lang": "../../x"}'), r"meta\.json: lang = '\.\./\.\./x'"),
    (write("config.cfg", b"\xff\xfe"), "config.cfg is not UTF-8"),
    (write("config.cfg", b"[nlp"), "config.cfg can't be read"),
    (replace("config.cfg", "BertTextCat.v1", "Unknown.v1"), "Unknown.v1"),
    (replace("config.cfg", 'pooling = "cls"', "pooling = ${nlp.x}"), "config.cfg can't be read"),
    (
        replace("config.cfg", 'pooling = "cls"', "pooling = ${components}"),
        "Can't load|can't be read",
    ),
    (replace("config.cfg", "max_length = 64", 'max_length = "many"'), "max_length"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES)
def test_a_damaged_pipeline_is_one_line(change: Any, message: str, pipeline: Path) -> None:
    change(pipeline)
    with pytest.raises(BertZhError, match=message) as info:
        load_pipeline(pipeline)
    assert "\n" not in str(info.value) and str(pipeline) in str(info.value)
    assert gc.isenabled()


def test_spacy_alone_says_which_component(pipeline: Path) -> None:
    data = spacy.load(pipeline).get_pipe("bert_textcat").to_bytes()
    (pipeline / MODEL).write_bytes(b"\x81\xa5nodes\x90")
    with pytest.raises(BertZhError, match=r"component 'bert_textcat' in .* can't be read"):
        spacy.load(pipeline)
    fresh = spacy.blank("zh").add_pipe("bert_textcat")
    with pytest.raises(BertZhError, match="component 'bert_textcat' can't be read"):
        fresh.from_bytes(data[:-10])


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory")])
def test_want_of_memory_is_no_damage(
    error: Exception, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(TorchShim, "build", fail)
    with pytest.raises(type(error)) as raised:
        load_pipeline(pipeline)
    assert raised.value is error


def test_what_is_wrong_is_chained_to_its_cause(pipeline: Path) -> None:
    (pipeline / MODEL).write_bytes(b"\x80")
    with pytest.raises(BertZhError) as info:
        load_pipeline(pipeline)
    causes = [info.value.__cause__, info.value.__cause__.__cause__]  # type: ignore[union-attr]
    assert isinstance(causes[0], BertZhError) and isinstance(causes[1], ValueError)


def graph_of(*nodes: Any, weights: Any = ()) -> bytes:
    kinds = TensorProto
    inputs = [
        helper.make_tensor_value_info(name, kinds.INT64, ["windows", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    vectors = helper.make_tensor_value_info("vectors", kinds.FLOAT, None)
    graph = helper.make_graph(list(nodes), "bert", inputs, [vectors], initializer=list(weights))
    return helper.make_model(graph).SerializeToString()


def elsewhere() -> Any:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


BODY = helper.make_graph([], "inside", [], [])
HOSTILE_GRAPHS = [
    (graph_of(helper.make_node("Loop", [], ["vectors"], body=BODY)), "operation 'Loop'"),
    (graph_of(helper.make_node("Identity", ["x"], ["vectors"], body=BODY)), "graphs inside it"),
    (graph_of(helper.make_node("ConstantOfShape", ["x"], ["vectors"])), "'ConstantOfShape'"),
    (graph_of(helper.make_node("Add", ["x"], ["y"], domain="com.evil")), "not ONNX's own"),
    (graph_of(weights=[elsewhere()]), "names other files"),
    (graph_of(helper.make_node("Constant", [], ["vectors"], value=elsewhere())), "other files"),
    (b"", "cut off or damaged"),
    (b"\xff" * 100, "cut off or damaged"),
    (graph_of()[:-3], "cut off or damaged"),
]


@pytest.mark.parametrize(("graph", "message"), HOSTILE_GRAPHS)
def test_graphs_that_no_export_makes(graph: bytes, message: str) -> None:
    with pytest.raises(BertZhError, match=message):
        check_graph(graph)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Cast", ["input_ids"], ["vectors"], to=1)], "instead of float32 of"),
        ([helper.make_node("Tanh", ["none"], ["vectors"])], "ONNX graph can't be used"),
        ([], "ONNX graph can't be used"),
    ],
)
def test_graphs_that_are_no_bert(nodes: Any, message: str, checkpoint: Path) -> None:
    built: Any = build_onnx_backbone_v1(name=str(checkpoint), max_length=64, stride=8)
    built.initialize()
    shim = built.shims[0]
    onnx.checker.check_model(onnx.load_from_string(shim.graph))
    shim.graph = graph_of(*nodes)
    with pytest.raises(BertZhError, match=message):
        shim.from_bytes(shim.to_bytes())


@pytest.mark.parametrize("lang", ["../../x", "zh/../..", "", "ZH", "zh\n", None, 1, ["zh"]])
def test_no_language_leads_out_of_a_folder(lang: Any, pipeline: Path, tmp_path: Path) -> None:
    change_json(pipeline / "meta.json", lang=lang)
    with pytest.raises(BertZhError, match=r"meta\.json: lang"):
        read_meta(pipeline)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BertZhError, match=r"meta\.json: lang"):
        package(pipeline, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("facts", "place"),
    [
        ({"accuracy": "0.9"}, "accuracy"),
        ({"averages": {"macro": {"f1": [1]}}}, r"averages\.macro\.f1"),
        ({"averages": None}, "averages"),
        ({"classes": {"a": {"support": "many"}}}, r"classes\.a\.support"),
        ({"classes": ["a"]}, "classes"),
        ({"corpus": "test"}, "corpus"),
    ],
)
def test_metrics_of_other_types_are_named(facts: Any, place: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(facts))
    with pytest.raises(BertZhError, match=rf"metrics\.json: {place} = "):
        read_facts(tmp_path / "metrics.json")


@pytest.mark.parametrize(
    ("facts", "place"),
    [
        ({"rows": {"read": None}}, r"rows\.read"),
        ({"rows": {"read": -1}}, r"rows\.read"),
        ({"rejected": "none"}, "rejected"),
        ({"splits": {"train": {"labels": {"a": "1"}}}}, r"splits\.train\.labels\.a"),
        ({"labels": {"a": 1}}, "labels"),
    ],
)
def test_reports_of_other_types_are_named(facts: Any, place: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(facts))
    with pytest.raises(BertZhError, match=rf"report\.json: {place} = "):
        read_facts(tmp_path / "report.json", data=True)
