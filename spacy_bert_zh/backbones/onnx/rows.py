"""Products of eight bits with a scale for each row, as `DynamicQuantizeLinear` has one for all.

With one scale the largest value of a batch would decide how finely every text in it is rounded,
and scores would depend on a text's neighbours. Standard operators alone, for any ONNX engine.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from spacy_bert_zh.backbones.onnx.graph import Graph

SMALLEST = 1e-20
"""In place of a scale of 0."""
ZERO = 128
"""What stands for 0 in the unsigned eight bits of a row."""


def quantize_rows(model: Any, wanted: Collection[str]) -> Any:
    """Quantise products with weights; those of a row's values are exact whole numbers.

    Args:
        model: An `onnx.ModelProto`; it stays as it is.
        wanted: Names of its ``MatMul`` nodes.

    Returns:
        The quantised model.
    """
    tables = {table.name: table for table in model.graph.initializer}
    graph = _Rows(prefix="rows_")
    nodes: list[Any] = []
    for node in model.graph.node:
        graph.nodes = []
        if node.name in wanted:
            rows, weight = node.input
            graph.product(node.name, rows, numpy_helper.to_array(tables.pop(weight)))
        nodes += graph.nodes or [node]
    small = onnx.ModelProto()
    small.CopyFrom(model)
    for field in (small.graph.node, small.graph.initializer):
        del field[:]
    small.graph.node.extend(nodes)
    small.graph.initializer.extend([*tables.values(), *graph.weights])
    onnx.checker.check_model(small)
    return small


class _Rows(Graph):
    """Nodes that quantise."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix=prefix)
        self.one = self.weight("rows.one", np.asarray(1.0, np.float32))
        self.zero = self.weight("rows.zero", np.asarray(ZERO, np.uint8))
        self.smallest = self.weight("rows.smallest", np.asarray(SMALLEST, np.float32))
        self.steps = self.weight("rows.steps", np.asarray(127.0, np.float32))
        self.last = self.weight("rows.last", np.asarray([-1]))

    def product(self, name: str, rows: str, weight: NDArray[np.float32]) -> None:
        """rows @ weight, shape (inputs, outputs)."""
        scales = np.maximum(abs(weight).max(axis=0), SMALLEST) / 63  # seven bits, see `quantize`
        small = self.weight(f"{name}.weight.int8", np.rint(weight / scales).astype(np.int8))
        largest = self.step(name, "ReduceMax", self.step(name, "Abs", rows), self.last, keepdims=1)
        largest = self.step(name, "Max", largest, self.smallest)
        scale = self.step(name, "Div", largest, self.steps)
        # The division by 1.0 is QuantizeLinear's: it rounds half to even and cuts off at 0 and 255.
        scaled = self.step(name, "Div", rows, scale)
        whole = self.step(name, "QuantizeLinear", scaled, self.one, self.zero)
        sums = self.step(name, "MatMulInteger", whole, small, self.zero)
        sums = self.step(name, "Cast", sums, to=onnx.TensorProto.FLOAT)
        columns = self.weight(f"{name}.scales", scales.astype(np.float32))
        found = self.step(name, "Mul", sums, columns)
        self.add("Mul", found, scale, name=name)

    def step(self, of: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node on the way to a product, named after it and its own kind."""
        name = f"{of}.{kind.lower()}_{len(self.nodes)}"
        return self.add(kind, *inputs, name=name, **attributes)
