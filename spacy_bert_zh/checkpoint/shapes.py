"""What a ``config.json`` says of a BERT, and the weights that must then be there.

Compared before anything is built, so that a config that lies costs no memory and no time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spacy_bert_zh.checkpoint.settings import Settings, Sizes
from spacy_bert_zh.checkpoint.structure import (
    DebertaV2,
    ModernBert,
    RoFormer,
    Structure,
    structure,
)
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import checked, shorten

Shape = tuple[int, ...]

# What engines know, and what earlier versions have stored.
_KINDS: dict[str, type[Sizes]] = {
    "bert": Settings,
    "roberta": Settings,
    "electra": Settings,
    "roformer": RoFormer,
    "modernbert": ModernBert,
    "deberta-v2": DebertaV2,
}


def complete(config: dict[str, Any], where: Path | str) -> dict[str, Any]:
    """A config with the defaults in place of what it doesn't say.

    Args:
        config: The keys of ``config.json``.
        where: Of which file an error shall speak.

    Raises:
        BertZhError: It is of another network, or a value can't be right.
    """
    kind = config.get("model_type", "bert")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BertZhError(f"{where} describes a {shorten(kind)} model, not a BERT")
    if kind in ("bert", "roberta", "modernbert"):  # where it would mean nothing
        config = {name: value for name, value in config.items() if name != "embedding_size"}
    settings = checked(_KINDS[kind], config, where).model_dump()
    said = {name: value for name, value in settings.items() if value is not None or name in config}
    return {**config, **said}


def network_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The keys that shape the network, without all that others wrote into the file."""
    names = Settings.model_fields.keys() - {"prefix"}
    return {name: value for name, value in config.items() if name in names}


def embedded_width(config: dict[str, Any]) -> int:
    """The length of a piece's embedding: the hidden size, but for an ELECTRA."""
    return int(config.get("embedding_size") or config["hidden_size"])


def attended_width(config: dict[str, Any]) -> int:
    """What all heads together are wide: the hidden size, unless some were left out."""
    head = config.get("head_dim")
    return int(head * config["num_attention_heads"] if head else config["hidden_size"])


def expected_shapes(config: dict[str, Any], pooler: bool = False) -> dict[str, Shape]:
    """Names and shapes of the weights that a network has, as in `transformers.BertModel`.

    Where the embeddings are narrower, ``embeddings_project`` follows, as in `ElectraModel`. Others
    have parts that BERT hasn't, and BERT's names for those that it has.

    Args:
        config: What `complete` returns.
        pooler: Whether its pooler belongs to it.
    """
    if other := structure(config):
        return _other_shapes(config, other)
    width, inner = config["hidden_size"], config["intermediate_size"]
    embedded, attended = embedded_width(config), attended_width(config)
    tables = {
        "word": config["vocab_size"],
        "token_type": config["type_vocab_size"],
        "position": config["max_position_embeddings"],
    }
    shapes: dict[str, Shape]
    shapes = {f"embeddings.{k}_embeddings.weight": (n, embedded) for k, n in tables.items()}
    norms, linear = {"embeddings.LayerNorm": embedded}, dict[str, tuple[int, int]]()
    if embedded != width:
        linear["embeddings_project"] = (width, embedded)
    for layer in (f"encoder.layer.{n}" for n in range(config["num_hidden_layers"])):
        norms |= {f"{layer}.{part}.LayerNorm": width for part in ("attention.output", "output")}
        for part in ("query", "key", "value"):
            linear[f"{layer}.attention.self.{part}"] = (attended, width)
        linear[f"{layer}.attention.output.dense"] = (width, attended)
        linear[f"{layer}.intermediate.dense"] = (inner, width)
        linear[f"{layer}.output.dense"] = (width, inner)
    if pooler:
        linear["pooler.dense"] = (width, width)
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


def _other_shapes(config: dict[str, Any], parts: Structure) -> dict[str, Shape]:
    width, embedded = config["hidden_size"], embedded_width(config)
    of_attention, of_inner, of_norms = parts.biases
    sizes = {
        "word": config["vocab_size"],
        "token_type": config.get("type_vocab_size", 0),
        "position": config["max_position_embeddings"],
    }
    shapes: dict[str, Shape]
    shapes = {f"embeddings.{k}_embeddings.weight": (sizes[k], embedded) for k in parts.tables}
    shapes["embeddings.word_embeddings.weight"] = (sizes["word"], embedded)

    def linear(name: str, outputs: int, inputs: int, bias: bool) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    def norm(name: str, size: int = width) -> None:
        shapes[f"{name}.weight"] = (size,)
        if of_norms:
            shapes[f"{name}.bias"] = (size,)

    norm("embeddings.LayerNorm", width if parts.span else embedded)
    if embedded != width:
        linear("embeddings_project", width, embedded, bias=not parts.span)
    if parts.span:
        shapes["embeddings.relative_embeddings.weight"] = (2 * parts.span, width)
    if parts.norms_relative:
        norm("embeddings.relative_LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for part in (*("query", "key", "value"), *relative_projections(parts)):
            linear(f"{layer}.attention.self.{part}", width, width, of_attention)
        linear(f"{layer}.attention.output.dense", width, width, of_attention)
        gates = 2 if parts.modern else 1
        linear(f"{layer}.intermediate.dense", gates * config["intermediate_size"], width, of_inner)
        linear(f"{layer}.output.dense", width, config["intermediate_size"], of_inner)
        # The first norm of a ModernBERT stands behind the embeddings already.
        if not parts.modern or number:
            norm(f"{layer}.attention.output.LayerNorm")
        norm(f"{layer}.output.LayerNorm")
    if parts.modern:
        norm("final_norm")
    return shapes


def relative_projections(parts: Structure) -> list[str]:
    """Matrices for relative positions that a DeBERTa's layer has, unless they are others' too."""
    named = {"c2p": "pos_key", "p2c": "pos_query"}
    return [] if parts.shared else [named[part] for part in parts.parts]


def check_shapes(found: Mapping[str, Shape], expected: Mapping[str, Shape], what: str) -> None:
    """Compare weights with those that a network needs; more than these may be there.

    Args:
        found: Shapes by name.
        expected: Shapes by name.
        what: What doesn't fit to what, as an error shall say it.

    Raises:
        BertZhError: Some are missing or have the wrong shape; it names them.
    """
    wrong = [
        f"{name} {found.get(name, 'missing')} instead of {shape}"
        for name, shape in expected.items()
        if found.get(name) != shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BertZhError(f"{what}: {'; '.join(wrong[:3])}{more}")
