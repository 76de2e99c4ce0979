"""Checkpoints to ONNX graphs."""

from typing import Any

import onnx

from spacy_bert_zh.backbones.base import check_weights
from spacy_bert_zh.backbones.onnx.graph import Builder
from spacy_bert_zh.backbones.onnx.relatives import RelativeBuilder
from spacy_bert_zh.backbones.settings import Pooling
from spacy_bert_zh.checkpoint import Checkpoint, structure


def build_graph(checkpoint: Checkpoint, pooling: Pooling, precision: str = "fp32") -> Any:
    """The network as an `onnx.ModelProto`; arguments of `Builder`.

    Raises:
        BertZhError: The config asks for what is not here, or weights are missing or have the
            wrong shape; it names them.
    """
    check_weights(checkpoint, pooling)
    parts = structure(checkpoint.config)
    builder = (
        RelativeBuilder(checkpoint, parts, pooling, precision)
        if parts
        else Builder(checkpoint, pooling, precision)
    )
    model = builder.build()
    onnx.checker.check_model(model)
    return model
