"""A trained classifier in ONNX: as a pipeline, and as plain files for other frameworks."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config
from tokenizers import Tokenizer

from spacy_bert_zh.backbones.onnx.graph import Graph
from spacy_bert_zh.checkpoint import cut_positions, write_tokenizer
from spacy_bert_zh.loading import Parts, find_textcat, shims_of
from spacy_bert_zh.pieces import sections_of

ARCHITECTURE = "spacy_bert_zh.OnnxBackbone.v1"
SETTINGS = ("max_length", "stride", "max_windows", "pooling", "prefix")


def shorten(parts: Parts) -> Parts:
    """The same without the positions that no window reaches."""
    networks = (
        replace(one, checkpoint=cut_positions(one.checkpoint, one.settings["max_length"]))
        for one in parts.networks
    )
    return replace(parts, networks=tuple(networks))


def exchange(nlp: Language, component: str, parts: Parts, graphs: Sequence[Any]) -> Language:
    """A copy of a pipeline whose text classifier computes by ONNX graphs.

    Args:
        nlp: The pipeline; it stays as it is.
        component: Name of its text classifier.
        parts: Of the classifier.
        graphs: Of its networks, each an `onnx.ModelProto`.
    """
    config = Config(nlp.config).copy()
    sections = sections_of(config["components"][component]["model"]["backbone"]).values()
    for section, network in zip(sections, parts.networks, strict=True):
        section.clear()
        settings = {name: network.settings[name] for name in SETTINGS}
        section.update({"@architectures": ARCHITECTURE, "name": None, **settings})
    copy = load_model_from_config(config, meta=dict(nlp.meta), auto_fill=True)
    copy.from_bytes(nlp.to_bytes())
    shims = shims_of(find_textcat(copy, component).model)
    for shim, network, graph in zip(shims, parts.networks, graphs, strict=True):
        shim.exchange(network.checkpoint, graph.SerializeToString())
    return copy


def save_plain(parts: Parts, model: Any, folder: Path) -> None:
    """Write ``model.onnx``, ``tokenizer.json`` and ``labels.json``, for use without this package.

    The graph takes ``input_ids`` and ``attention_mask`` of shape (texts, length), as the
    tokenizer gives them, and returns ``scores`` of shape (texts, labels). A text is cut off
    where the first window ends; a prefix of the backbone is put in front of it by the tokenizer.

    Args:
        parts: Of the classifier, without n-grams.
        model: Its graph, an `onnx.ModelProto`.
        folder: The folder to make.
    """
    folder.mkdir()
    onnx.save(_with_head(parts, model), folder / "model.onnx")
    labels = json.dumps(parts.labels, ensure_ascii=False) + "\n"
    (folder / "labels.json").write_text(labels, "utf-8")
    most = parts.settings["max_length"]
    write_tokenizer(parts.checkpoint.tokenizer, folder, most, parts.checkpoint.prefix)
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
    apart = "scores" if parts.below is None else "head_apart"
    graph.nodes.append(helper.make_node(kind, [logits], [apart], apart))
    if parts.below is not None:
        _add_tree(graph, apart, parts.below)
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


def _add_tree(graph: Graph, apart: str, below: NDArray[np.int64]) -> None:
    """Let each label of a tree have the highest score of itself and all below it."""
    add = graph.nodes.append
    for name, values in (("head_below", below), ("head_last", np.asarray([2], np.int64))):
        graph.weights.append(numpy_helper.from_array(values, name))
    add(helper.make_node("Gather", [apart, "head_below"], ["head_paths"], "head_paths", axis=1))
    # The axes are an input from opset 18 on.
    add(
        helper.make_node("ReduceMax", ["head_paths", "head_last"], ["scores"], "scores", keepdims=0)
    )
