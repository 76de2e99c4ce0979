"""The products of an ONNX graph in eight bits."""

from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from spacy_bert_zh.backbones.onnx.rows import quantize_rows

Inputs = dict[str, NDArray[np.int64]]
"""``input_ids`` and ``attention_mask`` of one pass, both of shape (windows, length)."""


def quantize(model: Any, samples: Sequence[Inputs] = (), keep: Collection[str] = ()) -> Any:
    """Quantise the linear layers of a `build_graph` model.

    Weights in advance, with a scale for each output. What they are multiplied with has a scale
    for each row, found when it is there (dynamic, see `quantize_rows`), or one for all, found in
    advance from samples (static: the least and the greatest value seen). Neither depends on the
    texts of the same batch. Attention and the products' results stay in float32. Weights take
    seven of the eight bits: on a CPU without VNNI the sums of products of eight bits would be cut
    off silently, which is where the points get lost that others report.

    Args:
        model: An `onnx.ModelProto`, for static quantisation one of precision ``int8-static``.
        samples: What to find scales in advance from; none for dynamic quantisation.
        keep: Names of linear layers that stay in float32.

    Returns:
        The quantised model.
    """
    wanted = [name for name in linear_layers(model) if name not in keep]
    if not wanted:
        return model
    if not samples:
        return quantize_rows(model, wanted)
    model = deepcopy(model)  # what follows moves its weights into a file
    add_pre_process_metadata(model)  # else a warning asks for what the graph doesn't need
    with TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        quantize_static(
            model,
            target,
            _Samples(samples),
            op_types_to_quantize=["Gemm"],
            nodes_to_quantize=wanted,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
                "QDQOpTypePerChannelSupportToAxis": {"Gemm": 1},
            },
        )
        return onnx.load(target)


def linear_layers(model: Any) -> list[str]:
    """Names of the products with weights, in the order of computation."""
    weights = {weight.name for weight in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights
    ]


def rank_layers(model: Any, samples: Sequence[Inputs], static: bool) -> list[str]:
    """The linear layers, first the one whose quantisation alone changes the vectors most.

    Args:
        model: An `onnx.ModelProto` that isn't quantised.
        samples: What to compare on.
        static: Whether scales are found in advance.
    """
    layers = linear_layers(model)
    exact = _vectors(model, samples)

    def change(layer: str) -> float:
        others = {*layers} - {layer}
        alone = quantize(model, samples if static else (), keep=others)
        return float(np.square(_vectors(alone, samples) - exact).sum())

    return sorted(layers, key=change, reverse=True)


def _vectors(model: Any, samples: Sequence[Inputs]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run(["vectors"], sample)[0] for sample in samples])


class _Samples(CalibrationDataReader):
    """What ONNX Runtime's calibration reads."""

    def __init__(self, samples: Sequence[Inputs]) -> None:
        self._rest = iter(samples)

    def get_next(self) -> Inputs | None:
        return next(self._rest, None)
