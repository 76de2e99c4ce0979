"""RoFormer, ModernBERT and DeBERTa-v2 as ONNX graphs: what they do otherwise than a BERT."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.backbones.onnx.graph import Builder
from spacy_bert_zh.backbones.positions import buckets, out_of_reach, rotary
from spacy_bert_zh.backbones.settings import Pooling
from spacy_bert_zh.checkpoint import Checkpoint, Structure, embedded_width


class RelativeBuilder(Builder):
    """Turns a checkpoint of one of them into a graph; arguments of `Builder`."""

    def __init__(
        self, checkpoint: Checkpoint, parts: Structure, pooling: Pooling, precision: str
    ) -> None:
        self.parts = parts
        named = {"hidden_act": parts.activation, "layer_norm_eps": parts.eps}
        super().__init__(checkpoint, pooling, precision)
        self.config = {**self.config, **named}
        self.positions = int(self.config["max_position_embeddings"])
        self._made: dict[str, str] = {}

    def _once(self, name: str, table: NDArray[Any]) -> str:
        """A table that layers share."""
        if name not in self._made:
            self._made[name] = self.graph.weight(name, table)
        return self._made[name]

    def _vector(self, name: str, size: int) -> NDArray[Any]:
        """A bias, or zeros where there is none."""
        return self.weights.get(name, np.zeros(size, np.float32))

    def _linear(self, name: str, rows: str) -> str:
        weight = self.weights[f"{name}.weight"]
        return self.graph.linear(rows, name, weight, self._vector(f"{name}.bias", len(weight)))

    def _norm(self, name: str, rows: str) -> str:
        name, given = f"{name}.LayerNorm", self.weights
        return self._normalised(name, rows, given[f"{name}.weight"])

    def _normalised(self, name: str, rows: str, scale: NDArray[Any]) -> str:
        graph, shift = self.graph, self._vector(f"{name}.bias", len(scale))
        names = [graph.weight(f"{name}.scale", scale), graph.weight(f"{name}.shift", shift)]
        return graph.add("LayerNormalization", rows, *names, epsilon=self.parts.eps)

    def _embed(self) -> str:
        graph, parts = self.graph, self.parts
        flat = graph.add("Reshape", "input_ids", graph.integers(-1))
        rows = self._words(graph.add("Gather", flat, self.places))
        counts = graph.add("CumSum", "attention_mask", graph.integers(1))
        flat = graph.add("Reshape", counts, graph.integers(-1))
        self.at = graph.add("Sub", graph.add("Gather", flat, self.places), graph.integers(1))
        if "token_type" in parts.tables:
            first = self.weights["embeddings.token_type_embeddings.weight"][0]
            rows = graph.add("Add", rows, graph.weight("embeddings.types", first))
        if "position" in parts.tables:
            table = self.weights["embeddings.position_embeddings.weight"]
            table_name = graph.weight("embeddings.positions", table)
            rows = graph.add("Add", rows, graph.add("Gather", table_name, self.at))
        projects = embedded_width(self.config) != self.width
        if projects and parts.span:
            rows = self._linear("embeddings_project", rows)
        rows = self._norm("embeddings", rows)
        return self._linear("embeddings_project", rows) if projects and not parts.span else rows

    def _layer(self, name: str, rows: str, first_only: bool) -> str:
        if not self.parts.modern:
            return super()._layer(name, rows, first_only)
        graph, (kind, attributes) = self.graph, self._activation()
        before = f"{name}.attention.output"
        has_norm = f"{before}.LayerNorm.weight" in self.weights
        found = self._attention(name, self._norm(before, rows) if has_norm else rows, first_only)
        rows = graph.add("Gather", rows, self.firsts) if first_only else rows
        rows = graph.add("Add", self._linear(f"{before}.dense", found), rows)
        both = self._linear(f"{name}.intermediate.dense", self._norm(f"{name}.output", rows))
        size, ones = int(self.config["intermediate_size"]), graph.integers(1)
        inner = graph.add("Slice", both, graph.integers(0), graph.integers(size), ones)
        gate = graph.add("Slice", both, graph.integers(size), graph.integers(2 * size), ones)
        inner = graph.add("Mul", graph.add(kind, inner, **attributes), gate)
        return graph.add("Add", self._linear(f"{name}.output.dense", inner), rows)

    def _pool(self, rows: str) -> str:
        if self.parts.modern:
            rows = self._normalised("final_norm", rows, self.weights["final_norm.weight"])
        return super()._pool(rows)

    def _attention(self, name: str, rows: str, first_only: bool) -> str:
        graph, number = self.graph, int(name.split(".")[-1])
        first = graph.add("Gather", rows, self.firsts) if first_only else rows
        given = [self._projected(name, part, first if part == "query" else rows) for part in _PARTS]
        if self.parts.rotary:  # a first piece has the position 0, which turns nothing
            turned = (not first_only, True, self.parts.turns_values)
            given = [
                self._turn(row, number) if turns else row
                for row, turns in zip(given, turned, strict=True)
            ]
        query, key, value = (
            self._heads(row, 1, padded=not (first_only and row is given[0]))[0] for row in given
        )
        across = graph.add("Transpose", key, perm=[0, 1, 3, 2])
        scores = graph.add("Add", graph.add("MatMul", query, across), self.hidden)
        for bias in self._biases(name, query, key, first_only):
            scores = graph.add("Add", scores, bias)
        found = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        found = graph.add("Transpose", found, perm=[0, 2, 1, 3])
        found = graph.add("Reshape", found, graph.integers(-1, self.width))
        return found if first_only else graph.add("Gather", found, self.places)

    @property
    def _scale(self) -> np.float32:
        """What queries are multiplied with, instead of the scores."""
        return np.float32(((1 + len(self.parts.parts)) * self.width // self.heads) ** -0.5)

    def _projected(self, name: str, part: str, rows: str) -> str:
        scale = self._scale if part == "query" else np.float32(1)
        name = f"{name}.attention.self.{part}"
        weight, bias = self.weights[f"{name}.weight"], self._vector(f"{name}.bias", self.width)
        return self.graph.linear(rows, name, weight * scale, bias * scale)

    def _turn(self, rows: str, number: int) -> str:
        """x · cos + x[swap] · sin, see `rotary`."""
        graph, label = self.graph, f"rotary.{self.parts.rotary[number]}"
        cos, sin, swap = rotary(self.parts, number, self.positions, self.width, self.heads)
        cos_rows, sin_rows = (
            graph.add("Gather", self._once(f"{label}.{part}", table), self.at)
            for part, table in (("cos", cos), ("sin", sin))
        )
        other = graph.add("Gather", rows, self._once("rotary.swap", swap), axis=1)
        return graph.add("Add", graph.add("Mul", rows, cos_rows), graph.add("Mul", other, sin_rows))

    def _biases(self, name: str, query: str, key: str, first_only: bool) -> list[str]:
        """What is added to the scores besides what hides padding."""
        number = int(name.split(".")[-1])
        reach = self.parts.reach[number] if self.parts.reach else 0
        if reach:
            table = self._once(f"far.{reach}", out_of_reach(reach, self.positions))
            return [self.graph.add("Gather", table, self._distances(first_only))]
        return [
            self._compare(name, part, query if part == "c2p" else key, first_only)
            for part in self.parts.parts
        ]

    def _distances(self, first_only: bool) -> str:
        """Query minus key, from 0 on; shape (queries, keys)."""
        graph = self.graph
        keys = self._count()
        queries = graph.integers(0) if first_only else keys
        rows = graph.add("Unsqueeze", queries, graph.integers(1))
        return graph.add("Add", graph.add("Sub", rows, keys), graph.integers(self.positions - 1))

    def _count(self) -> str:
        """0, 1, 2, … up to the length of the windows."""
        graph = self.graph
        table = self._once("places", np.arange(self.positions, dtype=np.int64))
        length = graph.add("Slice", self.shape, graph.integers(1), graph.integers(2))
        return graph.add("Slice", table, graph.integers(0), length)

    def _compare(self, name: str, part: str, content: str, first_only: bool) -> str:
        """Content with relative positions: (windows, heads, queries, keys); see `Relative`."""
        graph, span = self.graph, 2 * self.parts.span
        # Not a linear layer, which would be quantised.
        table = graph.add("Identity", graph.weight(f"{name}.{part}", self._relative(name, part)))
        scores = graph.add("MatMul", content, table)  # (windows, heads, content, 2 · span)
        places = self._once("buckets", buckets(self.parts, self.positions))
        found = graph.add("Gather", places, self._distances(first_only))  # (queries, keys)
        rows = graph.add("Mul", self._count(), graph.integers(span))
        if part == "c2p":
            rows = graph.integers(0) if first_only else rows
            rows = graph.add("Unsqueeze", rows, graph.integers(1))
        where = graph.add("Add", found, rows)
        flat = graph.add("Reshape", where, graph.integers(-1))
        scores = graph.add("Reshape", scores, graph.integers(0, 0, -1))
        picked = graph.add("Gather", scores, flat, axis=2)
        windows = graph.add("Slice", self.shape, graph.integers(0), graph.integers(1))
        shape = graph.add(
            "Concat",
            *(windows, graph.integers(self.heads), graph.add("Shape", where)),
            axis=0,
        )
        return graph.add("Reshape", picked, shape)

    def _relative(self, name: str, part: str) -> NDArray[np.float32]:
        """Relative positions by a layer's matrix, computed here; (heads, width, 2 · span)."""
        rows = self.weights["embeddings.relative_embeddings.weight"]
        if self.parts.norms_relative:
            label = "embeddings.relative_LayerNorm"
            rows = rows - rows.mean(1, keepdims=True)
            rows = rows / np.sqrt(rows.var(1, keepdims=True) + self.parts.eps)
            rows = rows * self.weights[f"{label}.weight"] + self.weights[f"{label}.bias"]
        own = "key" if part == "c2p" else "query"
        matrix = f"{name}.attention.self.{own if self.parts.shared else f'pos_{own}'}"
        rows = rows @ self.weights[f"{matrix}.weight"].T + self.weights[f"{matrix}.bias"]
        rows = rows.reshape(len(rows), self.heads, -1).transpose(1, 2, 0)
        # Queries have the scale already, keys haven't.
        scale = np.float32(1) if part == "c2p" else self._scale
        return np.asarray(rows * scale, dtype=np.float32)


_PARTS = ("query", "key", "value")
