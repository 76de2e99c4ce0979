"""A trained classifier in ONNX: as a pipeline, and as plain files for other frameworks."""

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config
from tokenizers import Tokenizer

from spacy_bert_zh.backbones.onnx_graph import Graph, build_graph
from spacy_bert_zh.backbones.onnx_quantize import quantize
from spacy_bert_zh.loading import Parts, find_textcat
from spacy_bert_zh.saving import write_tokenizer

ARCHITECTURE = "spacy_bert_zh.OnnxBackbone.v1"
SETTINGS = ("max_length", "stride", "max_windows", "pooling")


def make_model(parts: Parts, precision: str) -> Any:
    """The graph of a classifier's BERT, as an `onnx.ModelProto`.

    Args:
        parts: Of the classifier.
        precision: ``fp32``, ``fp16`` or ``int8``.

    Raises:
        BertZhError: The config asks for what is not here.
    """
    model = build_graph(parts.checkpoint, parts.settings["pooling"], precision)
    return quantize(model) if precision == "int8" else model


def exchange(nlp: Language, component: str, parts: Parts, model: Any) -> Language:
    """A copy of a pipeline whose text classifier computes by an ONNX graph.

    Args:
        nlp: The pipeline; it stays as it is.
        component: Name of its text classifier.
        parts: Of the classifier.
        model: Of `make_model`.
    """
    config = Config(nlp.config).copy()
    settings = {name: parts.settings[name] for name in SETTINGS}
    backbone = {"@architectures": ARCHITECTURE, "name": None, **settings}
    config["components"][component]["model"]["backbone"] = backbone
    copy = load_model_from_config(config, meta=dict(nlp.meta), auto_fill=True)
    copy.from_bytes(nlp.to_bytes())
    shim: Any = find_textcat(copy, component).model.get_ref("backbone").shims[0]
    shim.exchange(model.SerializeToString())
    return copy


def save_plain(parts: Parts, model: Any, folder: Path) -> None:
    """Write ``model.onnx``, ``tokenizer.json`` and ``labels.json``, for use without this package.

    The graph takes ``input_ids`` and ``attention_mask`` of shape (texts, length), as the
    tokenizer gives them, and returns ``scores`` of shape (texts, labels). A text is cut off
    where the first window ends.

    Args:
        parts: Of the classifier, without n-grams.
        model: Of `make_model`.
        folder: The folder to make.
    """
    folder.mkdir()
    onnx.save(_with_head(parts, model), folder / "model.onnx")
    labels = json.dumps(parts.labels, ensure_ascii=False) + "\n"
    (folder / "labels.json").write_text(labels, "utf-8")
    most = parts.settings["max_length"]
    write_tokenizer(parts.checkpoint.tokenizer, folder, most)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(most)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))
    tokenizer.save(str(folder / "tokenizer.json"))


def _with_head(parts: Parts, model: Any) -> Any:
    """The model with ``scores`` in place of ``vectors``."""
    graph = Graph(prefix="head_")
    logits = graph.linear("vectors", "head", parts.weights, parts.bias)
    # The axis of a softmax is the last one, if nothing is said.
    kind = "Softmax" if parts.exclusive_classes else "Sigmoid"
    graph.nodes.append(helper.make_node(kind, [logits], ["scores"], "scores"))
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.node.extend(graph.nodes)
    whole.graph.initializer.extend(graph.weights)
    scores = helper.make_tensor_value_info(
        "scores", TensorProto.FLOAT, ["texts", len(parts.labels)]
    )
    whole.graph.output[0].CopyFrom(scores)
    onnx.checker.check_model(whole)
    return whole
