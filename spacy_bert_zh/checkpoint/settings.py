"""The keys of ``config.json`` that shape a network, and the values that they can have."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from spacy_bert_zh.untrusted import Strict

Size = Annotated[int, Field(ge=1, le=10_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(max_length=50)]


class Sizes(Strict):
    """What each network has."""

    vocab_size: Size
    hidden_size: Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=1_000)]
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    max_position_embeddings: Size = 512
    initializer_range: Share = 0.02
    pad_token_id: Annotated[int, Field(ge=0)] | None = 0
    is_decoder: Literal[False] = False
    # What stands in front of each text.
    prefix: Annotated[str, StringConstraints(max_length=1_000)] | None = None

    # Of a head, where heads were left out: else the hidden size is divided among them.
    head_dim: Size | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size = {self.hidden_size} is no multiple of num_attention_heads = "
                f"{self.num_attention_heads}"
            )
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            raise ValueError(
                f"pad_token_id = {self.pad_token_id} is no piece of vocab_size = {self.vocab_size}"
            )
        return self


class Settings(Sizes):
    """What a BERT has, with the defaults that transformers has."""

    hidden_act: Name = "gelu"
    hidden_dropout_prob: Share = 0.1
    attention_probs_dropout_prob: Share = 0.1
    type_vocab_size: Size = 2
    layer_norm_eps: Share = 1e-12
    position_embedding_type: Literal["absolute"] = "absolute"
    # Of the embeddings, in an ELECTRA, a RoFormer or a DeBERTa.
    embedding_size: Size | None = None
