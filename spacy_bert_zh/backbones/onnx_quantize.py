"""The products of an ONNX graph in eight bits."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic


def quantize(model: Any) -> Any:
    """Quantise the linear layers of a `build_graph` model.

    Weights in advance, with a scale for each output; what they are multiplied with when it is
    there, with one scale for all. Attention stays in float32. Weights take seven of the eight
    bits: on a CPU without VNNI the sums of products of eight bits would be cut off silently,
    which is where the points get lost that others report.

    Args:
        model: An `onnx.ModelProto`.

    Returns:
        The quantised model.
    """
    with TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(target)
