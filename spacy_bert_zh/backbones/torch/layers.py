"""BERT and its relatives in torch, on the way without padding; see `Structure`.

Parts have the names that they have in `transformers.BertModel`. It isn't used itself: importing it
takes longer than all else that a pipeline loads.
"""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from spacy_bert_zh.backbones.positions import buckets, out_of_reach, rotary
from spacy_bert_zh.backbones.torch.attention import Group, attend
from spacy_bert_zh.backbones.torch.packed import linear
from spacy_bert_zh.checkpoint import (
    Structure,
    attended_width,
    embedded_width,
    plain,
    relative_projections,
    structure,
)
from spacy_bert_zh.errors import BertZhError

_TANH = partial(functional.gelu, approximate="tanh")
ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_fast": _TANH,
    "gelu_new": _TANH,
    "gelu_python": functional.gelu,
    "gelu_pytorch_tanh": _TANH,
    "mish": functional.mish,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}
"""By the name that ``config.json`` has for them, which is that of transformers."""


class Bert(nn.Module):
    """Holds parameters and parts; `packed.encode` goes through them.

    Args:
        config: What `complete` returns.
        pooler: Whether the pretrained layer for the first piece belongs to it; only a BERT has one.

    Raises:
        BertZhError: The activation is not known here.
    """

    def __init__(self, config: dict[str, Any], pooler: bool = False) -> None:
        super().__init__()
        parts = structure(config) or plain(config)
        width, layers = config["hidden_size"], config["num_hidden_layers"]
        self.embeddings = Embeddings(config, parts)
        # A DeBERTa widens its embeddings before they are normalised.
        if (embedded := embedded_width(config)) != width:
            self.embeddings_project = nn.Linear(embedded, width, bias=not parts.span)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config, parts, n) for n in range(layers))
        if parts.modern:
            self.final_norm = _norm(width, parts)
        if pooler:
            self.pooler = nn.Module()
            self.pooler.dense = nn.Linear(width, width)

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return self.embeddings.word_embeddings.weight.device

    def embed(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Embeddings of pieces; shape (pieces, hidden size)."""
        parts = self.embeddings
        rows = parts.word_embeddings(ids)  # (pieces, embedding size)
        if hasattr(parts, "token_type_embeddings"):
            rows = rows + parts.token_type_embeddings.weight[0]
        if hasattr(parts, "position_embeddings"):
            rows = rows + parts.position_embeddings(positions)
        project = getattr(self, "embeddings_project", None)
        if project is not None and parts.structure.span:
            rows = linear(project, rows)
        rows = parts.dropout(parts.LayerNorm(rows))
        if project is not None and not parts.structure.span:
            rows = linear(project, rows)
        return rows

    def relative(self) -> torch.Tensor | None:
        """Embeddings of relative positions, shape (2 · span, hidden size), if there are any."""
        if not self.embeddings.structure.span:
            return None
        rows: torch.Tensor = self.embeddings.relative_embeddings.weight
        if self.embeddings.structure.norms_relative:
            rows = self.embeddings.relative_LayerNorm(rows)
        return rows


class Embeddings(nn.Module):
    """The tables, and their norms."""

    def __init__(self, config: dict[str, Any], parts: Structure) -> None:
        super().__init__()
        self.structure = parts
        width, embedded = config["hidden_size"], embedded_width(config)
        self.word_embeddings = _table(config["vocab_size"], embedded)
        if "token_type" in parts.tables:
            self.token_type_embeddings = _table(config["type_vocab_size"], embedded)
        if "position" in parts.tables:
            self.position_embeddings = _table(config["max_position_embeddings"], embedded)
        self.LayerNorm = _norm(width if parts.span else embedded, parts)
        self.dropout = nn.Dropout(parts.dropouts[0])
        if parts.span:
            self.relative_embeddings = _table(2 * parts.span, width)
        if parts.norms_relative:
            self.relative_LayerNorm = _norm(width, parts)


class Layer(nn.Module):
    """Attention and an inner layer.

    Args:
        config: Of the network.
        parts: What differs in it.
        number: Of the layer.
    """

    # Parts, and tables of positions where there are some.
    attention: Any
    intermediate: Any
    output: Any
    cos: torch.Tensor
    sin: torch.Tensor
    swap: torch.Tensor

    def __init__(self, config: dict[str, Any], parts: Structure, number: int) -> None:
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        of_attention, of_inner, _ = parts.biases
        attended = attended_width(config)
        self.structure, self.number = parts, number
        self.attention, self.intermediate, self.output = nn.Module(), nn.Module(), nn.Module()
        attention = self.attention.self = nn.Module()
        for part in ("query", "key", "value", *relative_projections(parts)):
            setattr(attention, part, nn.Linear(width, attended, bias=of_attention))
        attention.num_attention_heads = self.heads = config["num_attention_heads"]
        attention.dropout = nn.Dropout(parts.dropouts[1])
        self.attention.output = nn.Module()
        self.attention.output.dense = nn.Linear(attended, width, bias=of_attention)
        # ModernBERT drops as much of what attention gives as of its weights.
        self.attention.output.dropout = nn.Dropout(parts.dropouts[1 if parts.modern else 2])
        gates = 2 if parts.modern else 1
        self.intermediate.dense = nn.Linear(width, gates * inner, bias=of_inner)
        self.activation = _activation(parts.activation)
        self.output.dense = nn.Linear(inner, width, bias=of_inner)
        self.output.dropout = nn.Dropout(parts.dropouts[2])
        if not parts.modern or number:
            self.attention.output.LayerNorm = _norm(width, parts)
        self.output.LayerNorm = _norm(width, parts)
        self._register_tables(width, config["max_position_embeddings"])

    def _register_tables(self, width: int, positions: int) -> None:
        tables: dict[str, Any] = {}
        parts = self.structure
        if parts.rotary:
            found = rotary(parts, self.number, positions, width, self.heads)
            tables = dict(zip(("cos", "sin", "swap"), found, strict=True))
        if parts.span:
            tables["buckets"] = buckets(parts, positions)
        if parts.reach and parts.reach[self.number]:
            tables["far"] = out_of_reach(parts.reach[self.number], positions)
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table), persistent=False)

    def forward(
        self,
        hidden: torch.Tensor,
        groups: list[Group],
        firsts: torch.Tensor | None,
        positions: torch.Tensor,
        relative: torch.Tensor | None,
    ) -> torch.Tensor:
        """One layer; with `firsts` only their rows come out, see `packed.encode`.

        Args:
            hidden: Shape (pieces, hidden size).
            groups: Which windows attend together.
            firsts: The first piece of each window, shape (windows,), or None.
            positions: Of the pieces in their windows; shape (pieces,).
            relative: Embeddings of relative positions, shape (2 · span, hidden size), or None.
        """
        modern, output = self.structure.modern, self.attention.output
        given = output.LayerNorm(hidden) if modern and self.number else hidden
        context = self._attend(given, groups, firsts, positions, relative)
        rows = hidden if firsts is None else hidden[firsts]  # (rows, hidden)
        mixed = output.dropout(linear(output.dense, context)) + rows
        if not modern:
            mixed = output.LayerNorm(mixed)
            inner = linear(self.intermediate.dense, mixed, self.activation)
            outer = self.output.dropout(linear(self.output.dense, inner))
            return self.output.LayerNorm(outer + mixed)
        inner, gate = linear(self.intermediate.dense, self.output.LayerNorm(mixed)).chunk(2, dim=-1)
        # Dropout comes before the product here.
        inner = self.output.dropout(self.activation(inner) * gate)
        return linear(self.output.dense, inner) + mixed

    def _attend(
        self,
        hidden: torch.Tensor,
        groups: list[Group],
        firsts: torch.Tensor | None,
        positions: torch.Tensor,
        relative: torch.Tensor | None,
    ) -> torch.Tensor:
        attention, parts = self.attention.self, self.structure
        rows = hidden if firsts is None else hidden[firsts]  # (rows, hidden)
        queries = linear(attention.query, rows)
        keys, values = linear(attention.key, hidden), linear(attention.value, hidden)
        if parts.rotary:
            # A first piece has the position 0.
            at = positions if firsts is None else torch.zeros_like(firsts)
            queries, keys = self._turn(queries, at), self._turn(keys, positions)
            values = self._turn(values, positions) if parts.turns_values else values
        scale = ((1 + len(parts.parts)) * queries.shape[1] // self.heads) ** -0.5
        compared = self._project(relative) if relative is not None else {}

        def bias(query: torch.Tensor, key: torch.Tensor, group: Group) -> torch.Tensor | None:
            return self._bias(query, key, compared, scale, group)

        return attend(attention, queries, keys, values, groups, firsts is None, bias, scale)

    def _turn(self, rows: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        cos, sin = self.cos[positions], self.sin[positions]  # (rows, hidden)
        return (rows * cos + rows[:, self.swap] * sin).to(rows.dtype)

    def _project(self, relative: torch.Tensor) -> dict[str, torch.Tensor]:
        """What queries and keys are compared with; each (heads, width of a head, 2 · span)."""
        attention, parts = self.attention.self, self.structure
        relative = nn.functional.dropout(relative, parts.dropouts[2], self.training)
        names = {"c2p": "pos_key", "p2c": "pos_query"}
        if parts.shared:
            names = {"c2p": "key", "p2c": "query"}
        return {
            part: getattr(attention, names[part])(relative)
            .view(len(relative), self.heads, -1)
            .permute(1, 2, 0)
            for part in parts.parts
        }

    def _bias(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        compared: dict[str, torch.Tensor],
        scale: float,
        group: Group,
    ) -> torch.Tensor | None:
        """What is added to the scores; (windows, heads or 1, queries, keys), or None.

        Of disentangled attention (He et al. 2021, DeBERTa, eq. 4) it is the second and the third
        term.
        """
        tables = [name for name in ("buckets", "far") if hasattr(self, name)]
        if not tables:
            return group.mask
        places = torch.arange(key.shape[2], device=key.device)
        distances = places[: query.shape[2], None] - places  # (queries, keys)
        table = getattr(self, tables[0])
        found = table[distances + len(table) // 2]  # (queries, keys)
        if tables[0] == "far":
            bias = found.to(query.dtype)[None, None]
        else:
            bias = self._compare(query, key, compared, found) * scale
        if group.mask is None:
            return bias
        return bias.masked_fill(~group.mask, float("-inf"))

    def _compare(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        compared: dict[str, torch.Tensor],
        found: torch.Tensor,
    ) -> torch.Tensor:
        """Content to position and position to content; (windows, heads, queries, keys)."""
        sums = query.new_zeros(*query.shape[:3], key.shape[2])
        for part, table in compared.items():
            content = query if part == "c2p" else key
            scores = content @ table  # (windows, heads, content, 2 · span)
            rows = torch.arange(content.shape[2], device=key.device)
            rows = rows[:, None] if part == "c2p" else rows
            flat = (rows * scores.shape[3] + found).flatten()  # (queries · keys,)
            sums = sums + scores.flatten(2).index_select(2, flat).view_as(sums)
        return sums


def _activation(name: str) -> Any:
    if name not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise BertZhError(f"config.json: hidden_act = '{name}' is not known, only {known}")
    return ACTIVATIONS[name]


def _table(rows: int, width: int) -> nn.Embedding:
    """Embeddings to be filled: `torch.nn.Embedding` would draw random ones."""
    return nn.Embedding.from_pretrained(torch.empty(rows, width), freeze=False)


def _norm(width: int, parts: Structure) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=parts.eps, bias=parts.biases[2])
