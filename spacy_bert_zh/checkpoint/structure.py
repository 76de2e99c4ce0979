"""Networks whose attention isn't BERT's: what their ``config.json`` says, and what follows from it.

RoFormer (Su et al. 2021, arXiv 2104.09864), ModernBERT (Warner et al. 2024, arXiv 2412.13663) and
DeBERTa-v2 (He et al. 2021, arXiv 2111.09543). The engines read a `Structure`, no ``config.json``.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from spacy_bert_zh.checkpoint.settings import Name, Settings, Share, Size, Sizes

_Base = Annotated[float, Field(gt=1, le=1e9)]


class RoFormer(Settings):
    """The keys of a RoFormer's; its second version, with other norms and no biases, isn't one."""

    max_position_embeddings: Size = 1536
    rotary_value: bool = False
    norm_type: Literal["layer_norm"] = "layer_norm"
    use_bias: Literal[True] = True

    @model_validator(mode="after")
    def _turns_pairs(self) -> Self:
        _check_pairs(self)
        return self


class ModernBert(Sizes):
    """The keys of a ModernBERT's."""

    intermediate_size: Size = 1152
    max_position_embeddings: Size = 8192
    hidden_activation: Name = "gelu"
    norm_eps: Share = 1e-5
    norm_bias: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout: Share = 0.0
    embedding_dropout: Share = 0.0
    mlp_dropout: Share = 0.0
    global_rope_theta: _Base = 160_000.0
    local_rope_theta: _Base | None = 10_000.0
    global_attn_every_n_layers: Size = 3
    local_attention: Size = 128
    # Not known here: other ways of counting, and how transformers 5 tells these things.
    rope_scaling: None = None
    rope_parameters: None = None
    layer_types: None = None

    @model_validator(mode="after")
    def _turns_pairs(self) -> Self:
        _check_pairs(self)
        return self


class DebertaV2(Settings):
    """The keys of a DeBERTa's, version 2 or 3."""

    type_vocab_size: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    layer_norm_eps: Share = 1e-7
    relative_attention: Literal[True]
    position_biased_input: bool = True
    position_buckets: Annotated[int, Field(ge=-1, le=100_000)] = -1
    max_relative_positions: Annotated[int, Field(ge=-1, le=100_000)] = -1
    pos_att_type: list[Literal["c2p", "p2c"]] = Field(default=[])
    share_att_key: bool = False
    norm_rel_ebd: Annotated[str, StringConstraints(max_length=50)] = "none"
    # Of deberta-v2-xlarge and -xxlarge alone: a convolution beside the first layer.
    conv_kernel_size: Literal[0] = 0
    attention_head_size: None = None

    @field_validator("pos_att_type", mode="before")
    @classmethod
    def _is_list(cls, kinds: Any) -> Any:
        # The first ones wrote "p2c|c2p".
        return (
            [kind.strip() for kind in kinds.lower().split("|")]
            if isinstance(kinds, str)
            else kinds or []
        )

    @model_validator(mode="after")
    def _has_buckets(self) -> Self:
        if 0 < self.position_buckets < 4:
            raise ValueError(f"position_buckets = {self.position_buckets} leaves no bucket")
        if self.position_buckets > 0 and self.furthest - 1 <= self.position_buckets // 2:
            raise ValueError("position_buckets reach further than max_relative_positions")
        return self

    @property
    def furthest(self) -> int:
        """The distance from which on all are the same."""
        given = self.max_relative_positions
        return given if given > 0 else self.max_position_embeddings


def _check_pairs(settings: Sizes) -> None:
    if settings.hidden_size // settings.num_attention_heads % 2:
        raise ValueError("the width of a head is odd: rotary positions turn pairs")


@dataclass(frozen=True)
class Structure:
    """What one of these networks consists of; by default what a BERT does.

    Attributes:
        eps: Of its norms.
        activation: Of the inner layer.
        tables: Which embeddings there are besides those of pieces.
        dropouts: Of embeddings, attention and layers.
        biases: Whether attention, inner layers and norms have biases.
        modern: Whether norms come before what they are for, and inner layers are gated
            (Shazeer 2020, arXiv 2002.05202).
        rotary: By layer, the base of the angles by which queries and keys are turned; or none.
        interleaved: Whether a pair is two neighbours, not one of each half of a head.
        turns_values: Whether values are turned, too.
        reach: By layer, how many pieces to each side it attends to; 0 is all.
        span: Half of how many embeddings of relative positions there are; 0 is none.
        buckets: How many relative positions get an embedding, the far ones together; 0 is each.
        furthest: The distance from which on all are in the last bucket.
        parts: ``c2p`` and ``p2c``: what is compared with relative positions.
        shared: Whether relative positions go through the matrices of queries and keys.
        norms_relative: Whether embeddings of relative positions are normalised.
    """

    eps: float
    activation: str
    tables: tuple[str, ...] = ()
    dropouts: tuple[float, float, float] = (0.0, 0.0, 0.0)
    biases: tuple[bool, bool, bool] = (True, True, True)
    modern: bool = False
    rotary: tuple[float, ...] = ()
    interleaved: bool = False
    turns_values: bool = False
    reach: tuple[int, ...] = ()
    span: int = 0
    buckets: int = 0
    furthest: int = 0
    parts: tuple[str, ...] = ()
    shared: bool = False
    norms_relative: bool = False


def structure(config: dict[str, Any]) -> Structure | None:
    """How a network differs from BERT; None if it is one.

    Args:
        config: What `complete` returns.
    """
    kind = config.get("model_type")
    return _STRUCTURES[kind](config) if kind in _STRUCTURES else None


def plain(config: dict[str, Any]) -> Structure:
    """What there is to say of a BERT, or an ELECTRA.

    Args:
        config: What `complete` returns.
    """
    return Structure(
        eps=config["layer_norm_eps"],
        activation=config["hidden_act"],
        tables=("token_type", "position"),
        dropouts=_dropouts(config),
    )


def _roformer(config: dict[str, Any]) -> Structure:
    return Structure(
        eps=config["layer_norm_eps"],
        activation=config["hidden_act"],
        tables=("token_type",),
        dropouts=_dropouts(config),
        rotary=(10_000.0,) * config["num_hidden_layers"],
        interleaved=True,
        turns_values=config["rotary_value"],
    )


def _modernbert(config: dict[str, Any]) -> Structure:
    everywhere = [
        number % config["global_attn_every_n_layers"] == 0
        for number in range(config["num_hidden_layers"])
    ]
    far, reach = config["global_rope_theta"], config["local_attention"] // 2
    near = config.get("local_rope_theta") or far
    return Structure(
        eps=config["norm_eps"],
        activation=config["hidden_activation"],
        dropouts=tuple(config[f"{part}_dropout"] for part in ("embedding", "attention", "mlp")),
        biases=tuple(config[f"{part}_bias"] for part in ("attention", "mlp", "norm")),
        modern=True,
        rotary=tuple(far if all_ else near for all_ in everywhere),
        reach=tuple(0 if all_ else max(reach, 1) for all_ in everywhere),
    )


def _deberta(config: dict[str, Any]) -> Structure:
    buckets = max(config["position_buckets"], 0)
    given = config["max_relative_positions"]
    furthest = given if given > 0 else config["max_position_embeddings"]
    tables = {"token_type": config["type_vocab_size"], "position": config["position_biased_input"]}
    return Structure(
        eps=config["layer_norm_eps"],
        activation=config["hidden_act"],
        tables=tuple(table for table, there in tables.items() if there),
        dropouts=_dropouts(config),
        span=buckets or furthest,
        buckets=buckets,
        furthest=furthest,
        parts=tuple(sorted(set(config["pos_att_type"]))),
        shared=config["share_att_key"],
        norms_relative="layer_norm" in config["norm_rel_ebd"].lower().split("|"),
    )


def _dropouts(config: dict[str, Any]) -> tuple[float, float, float]:
    hidden, attention = config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]
    return hidden, attention, hidden


_STRUCTURES = {"roformer": _roformer, "modernbert": _modernbert, "deberta-v2": _deberta}
