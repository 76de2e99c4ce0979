"""BERT (Devlin et al. 2019) as an ONNX graph, written node by node from a checkpoint's weights.

No engine is needed for it, and the graph is the fast path itself: linear layers without padding,
queries, keys and values in one product, the last layer only where it is pooled.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import spacy_bert_zh
from spacy_bert_zh.backbones.settings import Pooling
from spacy_bert_zh.checkpoint import Checkpoint, attended_width, embedded_width
from spacy_bert_zh.errors import BertZhError

OPSET = 20
_ACTIVATIONS = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


class Graph:
    """Nodes and weights, in the order in which they are added.

    Args:
        half: Keep weights as float16; they become float32 when the graph is loaded.
        gemm: A linear layer is one node instead of two, as static quantisation wants it.
        prefix: Of the names of its nodes.
    """

    def __init__(self, half: bool = False, gemm: bool = False, prefix: str = "") -> None:
        self.prefix, self.gemm = prefix, gemm
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.half = half

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node, named by its kind unless it is given a name; the name of its output."""
        name = name or f"{self.prefix}{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight; its name."""
        half = self.half and array.dtype == np.float32
        stored = array.astype(np.float16) if half else array
        self.weights.append(numpy_helper.from_array(np.asarray(stored, order="C"), name))
        return self.add("Cast", name, to=TensorProto.FLOAT) if half else name

    def integers(self, *values: int) -> str:
        """A list of whole numbers."""
        array = np.asarray(values, dtype=np.int64)
        name = f"integers_{'_'.join(map(str, values))}"
        if name not in {weight.name for weight in self.weights}:
            self.weights.append(numpy_helper.from_array(array, name))
        return name

    def linear(self, rows: str, name: str, weight: NDArray[Any], bias: NDArray[Any]) -> str:
        """x Wᵀ + b, the weight being laid out as in torch: (outputs, inputs)."""
        factor = self.weight(f"{name}.weight", weight.T)
        if self.gemm:
            return self.add("Gemm", rows, factor, self.weight(f"{name}.bias", bias), name=name)
        product = self.add("MatMul", rows, factor, name=name)
        return self.add("Add", product, self.weight(f"{name}.bias", bias))


class Builder:
    """Turns a checkpoint into a graph.

    Args:
        checkpoint: Config and weights.
        pooling: How a window becomes a vector, see `TorchBackbone`.
        precision: ``fp32``; ``fp16`` keeps weights in half the space; ``int8`` and
            ``int8-static`` the word embeddings in a quarter, seven bits and a scale for each
            row, and GELU is computed by tanh (the products are quantised afterwards, see
            `quantize`).
    """

    def __init__(self, checkpoint: Checkpoint, pooling: Pooling, precision: str = "fp32") -> None:
        self.config, self.weights = checkpoint.config, checkpoint.weights
        self.pooling, self.precision = pooling, precision
        self.heads = int(self.config.get("num_attention_heads", 12))
        self.width, self.attended = int(self.config["hidden_size"]), attended_width(self.config)
        self.graph = Graph(half=precision == "fp16", gemm=precision == "int8-static")

    def build(self) -> Any:
        """The model: ``input_ids`` and ``attention_mask`` (windows, length) to ``vectors``."""
        graph = self.graph
        self._lay_out()
        rows = self._embed()
        layers = int(self.config["num_hidden_layers"])
        for number in range(layers):
            first_only = self.pooling != "mean" and number == layers - 1
            rows = self._layer(f"encoder.layer.{number}", rows, first_only)
        graph.nodes.append(helper.make_node("Identity", [self._pool(rows)], ["vectors"], "vectors"))
        return self._model()

    def _lay_out(self) -> None:
        """Where pieces stand among the padded ones, and the other way round."""
        graph = self.graph
        flat = graph.add("Reshape", "attention_mask", graph.integers(-1))
        self.places = graph.add("Squeeze", graph.add("NonZero", flat), graph.integers(0))
        counted = graph.add("CumSum", flat, graph.integers(0))
        self.rows = graph.add("Sub", counted, graph.integers(1))
        lengths = graph.add("ReduceSum", "attention_mask", graph.integers(1), keepdims=0)
        ends = graph.add("CumSum", lengths, graph.integers(0))
        self.firsts = graph.add("Sub", ends, lengths)
        self.lengths = graph.add("Cast", lengths, to=TensorProto.FLOAT)
        self.shape = graph.add("Shape", "input_ids")
        real = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        hidden = graph.add("Sub", real, graph.weight("one", np.ones(1, np.float32)))
        # Zero for a piece, minus ten thousand for what hides: nothing is left of it by softmax.
        hidden = graph.add("Mul", hidden, graph.weight("far", np.full(1, 1e4, np.float32)))
        self.hidden = graph.add("Unsqueeze", hidden, graph.integers(1, 2))
        self.real = real

    def _embed(self) -> str:
        """The sum of piece, position and segment embeddings, normalised (figure 2)."""
        graph, prefix = self.graph, "embeddings"
        flat = graph.add("Reshape", "input_ids", graph.integers(-1))
        ids = graph.add("Gather", flat, self.places)
        counts = graph.add("CumSum", "attention_mask", graph.integers(1))
        flat = graph.add("Reshape", counts, graph.integers(-1))
        counts = graph.add("Sub", graph.add("Gather", flat, self.places), graph.integers(1))
        table = self.weights[f"{prefix}.position_embeddings.weight"]
        table = table + self.weights[f"{prefix}.token_type_embeddings.weight"][0]
        positions = graph.add("Gather", graph.weight(f"{prefix}.positions", table), counts)
        rows = self._norm(prefix, graph.add("Add", self._words(ids), positions))
        projects = embedded_width(self.config) != self.width  # an ELECTRA
        return self._linear("embeddings_project", rows) if projects else rows

    def _words(self, ids: str) -> str:
        graph, table = self.graph, self.weights["embeddings.word_embeddings.weight"]
        if not self.precision.startswith("int8"):
            return graph.add("Gather", graph.weight("embeddings.words", table), ids)
        scales = np.maximum(abs(table).max(axis=1, keepdims=True), 1e-8) / 63
        small = graph.weight("embeddings.words", np.rint(table / scales).astype(np.int8))
        found = graph.add("Cast", graph.add("Gather", small, ids), to=TensorProto.FLOAT)
        return graph.add("Mul", found, graph.add("Gather", graph.weight("scales", scales), ids))

    def _layer(self, name: str, rows: str, first_only: bool) -> str:
        """Attention, then two linear layers, each added and normalised (Vaswani et al. 2017)."""
        graph = self.graph
        found = self._attention(name, rows, first_only)
        rows = graph.add("Gather", rows, self.firsts) if first_only else rows
        found = self._linear(f"{name}.attention.output.dense", found)
        rows = self._norm(f"{name}.attention.output", graph.add("Add", found, rows))
        kind, attributes = self._activation()
        inner = graph.add(kind, self._linear(f"{name}.intermediate.dense", rows), **attributes)
        outer = self._linear(f"{name}.output.dense", inner)
        return self._norm(f"{name}.output", graph.add("Add", outer, rows))

    def _activation(self) -> tuple[str, dict[str, Any]]:
        name = self.config.get("hidden_act", "gelu")
        if name not in _ACTIVATIONS:
            raise BertZhError(
                f"config.json: hidden_act = '{name}' can't be exported to ONNX, only "
                + ", ".join(sorted(_ACTIVATIONS))
            )
        # Beside eight bits the difference is nothing, and tanh takes a third of the time of erf.
        is_close = name == "gelu" and self.precision.startswith("int8")
        return _ACTIVATIONS["gelu_new" if is_close else name]

    def _attention(self, name: str, rows: str, first_only: bool) -> str:
        """softmax(QKᵀ / √d) V within each window (Vaswani et al. 2017, eq. 1)."""
        graph = self.graph
        if first_only:
            first = graph.add("Gather", rows, self.firsts)
            (query,) = self._heads(self._project(name, first, "query"), 1, padded=False)
            key, value = self._heads(self._project(name, rows, "key", "value"), 2)
        else:
            projected = self._project(name, rows, "query", "key", "value")
            query, key, value = self._heads(projected, 3)
        key = graph.add("Transpose", key, perm=[0, 1, 3, 2])
        scores = graph.add("Add", graph.add("MatMul", query, key), self.hidden)
        found = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        found = graph.add("Transpose", found, perm=[0, 2, 1, 3])
        found = graph.add("Reshape", found, graph.integers(-1, self.attended))
        return found if first_only else graph.add("Gather", found, self.places)

    def _project(self, name: str, rows: str, *parts: str) -> str:
        """Queries, keys and values by one product; the queries divided by √d."""
        weights, biases = [], []
        for part in parts:
            scale = np.float32((self.attended // self.heads) ** -0.5 if part == "query" else 1.0)
            weights.append(self.weights[f"{name}.attention.self.{part}.weight"] * scale)
            biases.append(self.weights[f"{name}.attention.self.{part}.bias"] * scale)
        label = f"{name}.attention.{'_'.join(parts)}"
        return self.graph.linear(rows, label, np.concatenate(weights), np.concatenate(biases))

    def _heads(self, rows: str, count: int, padded: bool = True) -> list[str]:
        """Rows to `count` tensors of shape (windows, heads, length, width of a head)."""
        graph = self.graph
        if padded:
            # Where there is no piece, some other stands: the mask hides it.
            rows = graph.add("Gather", rows, self.rows)
        windows = graph.add("Slice", self.shape, graph.integers(0), graph.integers(1))
        rest = graph.integers(-1, count, self.heads, self.attended // self.heads)
        shape = graph.add("Concat", windows, rest, axis=0)
        split = graph.add("Reshape", rows, shape)
        split = graph.add("Transpose", split, perm=[2, 0, 3, 1, 4])
        return [
            graph.add("Gather", split, graph.weight(f"{split}.{i}", np.asarray(i)), axis=0)
            for i in range(count)
        ]

    def _pool(self, rows: str) -> str:
        graph = self.graph
        if self.pooling == "pooler":
            return graph.add("Tanh", self._linear("pooler.dense", rows))
        if self.pooling == "cls":
            return rows
        shape = graph.add("Concat", self.shape, graph.integers(self.width), axis=0)
        padded = graph.add("Reshape", graph.add("Gather", rows, self.rows), shape)
        real = graph.add("Unsqueeze", self.real, graph.integers(1))
        sums = graph.add("Squeeze", graph.add("MatMul", real, padded), graph.integers(1))
        return graph.add("Div", sums, graph.add("Unsqueeze", self.lengths, graph.integers(1)))

    def _linear(self, name: str, rows: str) -> str:
        return self.graph.linear(
            rows, name, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        )

    def _norm(self, name: str, rows: str) -> str:
        graph = self.graph
        scale, shift = (
            graph.weight(f"{name}.norm.{part}", self.weights[f"{name}.LayerNorm.{part}"])
            for part in ("weight", "bias")
        )
        epsilon = self.config.get("layer_norm_eps", 1e-12)
        if epsilon > 1e-9:
            return graph.add("LayerNormalization", rows, scale, shift, epsilon=epsilon)
        # The same, in parts that ONNX Runtime has vectorised also for CPUs without AVX-512.
        normal = graph.add("MeanVarianceNormalization", rows, axes=[1])
        return graph.add("Add", graph.add("Mul", normal, scale), shift)

    def _model(self) -> Any:
        kinds, shape = TensorProto, ["windows", "length"]
        inputs = [
            helper.make_tensor_value_info(name, kinds.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ]
        vectors = helper.make_tensor_value_info("vectors", kinds.FLOAT, ["windows", self.width])
        graph = helper.make_graph(
            self.graph.nodes, "bert", inputs, [vectors], initializer=self.graph.weights
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
            producer_name="spacy_bert_zh",
            producer_version=spacy_bert_zh.__version__,
        )
