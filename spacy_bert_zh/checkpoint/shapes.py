"""What a ``config.json`` says of a BERT, and the weights that must then be there.

Compared before anything is built, so that a config that lies costs no memory and no time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import Strict, checked, shorten

Size = Annotated[int, Field(ge=1, le=10_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Shape = tuple[int, ...]


class Settings(Strict):
    """The keys of ``config.json`` that shape a BERT, with the defaults that transformers has."""

    vocab_size: Size
    hidden_size: Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=1_000)]
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: Annotated[str, StringConstraints(max_length=50)] = "gelu"
    hidden_dropout_prob: Share = 0.1
    attention_probs_dropout_prob: Share = 0.1
    max_position_embeddings: Size = 512
    type_vocab_size: Size = 2
    initializer_range: Share = 0.02
    layer_norm_eps: Share = 1e-12
    pad_token_id: Annotated[int, Field(ge=0)] | None = 0
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False
    # Of the embeddings, in an ELECTRA.
    embedding_size: Size | None = None
    # What stands in front of each text.
    prefix: Annotated[str, StringConstraints(max_length=1_000)] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size = {self.hidden_size} is no multiple of num_attention_heads = "
                f"{self.num_attention_heads}"
            )
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            raise ValueError(
                f"pad_token_id = {self.pad_token_id} is no piece of vocab_size = {self.vocab_size}"
            )
        return self


def complete(config: dict[str, Any], where: Path | str) -> dict[str, Any]:
    """A config with the defaults in place of what it doesn't say.

    Args:
        config: The keys of ``config.json``.
        where: Of which file an error shall speak.

    Raises:
        BertZhError: It is of another network, or a value can't be right.
    """
    # The two that engines know, and what earlier versions have stored.
    if (kind := config.get("model_type", "bert")) not in ("bert", "roberta", "electra"):
        raise BertZhError(f"{where} describes a {shorten(kind)} model, not a BERT")
    if kind != "electra":  # where it would mean nothing
        config = {name: value for name, value in config.items() if name != "embedding_size"}
    settings = checked(Settings, config, where).model_dump()
    said = {name: value for name, value in settings.items() if value is not None or name in config}
    return {**config, **said}


def network_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The keys that shape the network, without all that others wrote into the file."""
    names = Settings.model_fields.keys() - {"prefix"}
    return {name: value for name, value in config.items() if name in names}


def embedded_width(config: dict[str, Any]) -> int:
    """The length of a piece's embedding: the hidden size, but for an ELECTRA."""
    return int(config.get("embedding_size") or config["hidden_size"])


def expected_shapes(config: dict[str, Any], pooler: bool = False) -> dict[str, Shape]:
    """Names and shapes of the weights that a BERT has, as in `transformers.BertModel`.

    Where the embeddings are narrower, ``embeddings_project`` follows, as in `ElectraModel`.

    Args:
        config: What `complete` returns.
        pooler: Whether its pooler belongs to it.
    """
    width, inner = config["hidden_size"], config["intermediate_size"]
    embedded = embedded_width(config)
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
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear[f"{layer}.attention.{part}"] = (width, width)
        linear[f"{layer}.intermediate.dense"] = (inner, width)
        linear[f"{layer}.output.dense"] = (width, inner)
    if pooler:
        linear["pooler.dense"] = (width, width)
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


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
