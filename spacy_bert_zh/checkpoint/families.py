"""BERT's relatives: what differs in each, and how it becomes BERT's own layout when it is read.

For most of them the engines know one network, BERT's, with at most a matrix behind its embeddings.
What a relative has besides is folded into BERT's tensors where that is the same arithmetic:

- Positions counted from the padding's id up (RoBERTa): the rows before the first one are cut off.
- Task types (ERNIE), of which a classifier knows the first alone: it is added to the token types.
- No token types at all: one row of zeros.
- Other names of tensors.

Those with another attention (RoFormer, ModernBERT, DeBERTa-v2, see `structure`) stay what they are,
with BERT's names for the parts that BERT has.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.checkpoint.settings import Size
from spacy_bert_zh.checkpoint.shapes import Shape, complete, embedded_width, expected_shapes
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import Strict, checked, shorten

Weights = dict[str, NDArray[Any]]

_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"
_TASKS = "embeddings.task_type_embeddings.weight"

# ModernBERT has one matrix for queries, keys and values, and two norms before what they are for.
_MODERN = {
    "embeddings.tok_embeddings.": "embeddings.word_embeddings.",
    "embeddings.norm.": "embeddings.LayerNorm.",
    "layers.": "encoder.layer.",
    ".attn_norm.": ".attention.output.LayerNorm.",
    ".mlp_norm.": ".output.LayerNorm.",
    ".attn.Wqkv.": ".attention.self.query_key_value.",
    ".attn.Wo.": ".attention.output.dense.",
    ".mlp.Wi.": ".intermediate.dense.",
    ".mlp.Wo.": ".output.dense.",
}
_DEBERTA = {
    "embeddings.embed_proj.": "embeddings_project.",
    "encoder.rel_embeddings.": "embeddings.relative_embeddings.",
    "encoder.LayerNorm.": "embeddings.relative_LayerNorm.",
    **{f".{part}_proj.": f".{part}." for part in ("query", "key", "value", "pos_key", "pos_query")},
}
# The head of masked language modelling is BERT's under other names.
_HEAD = {
    "lm_head.dense.": "cls.predictions.transform.dense.",
    "lm_head.layer_norm.": "cls.predictions.transform.LayerNorm.",
    "lm_head.": "cls.predictions.",
}


@dataclass(frozen=True)
class Family:
    """How the networks of a ``model_type`` differ from BERT (Devlin et al. 2019).

    Attributes:
        title: What people call it.
        prefix: What its tensors' names begin with where a head stands on the network.
        offset: Whether the first piece has the position ``pad_token_id`` + 1, not 0.
        tasks: Whether it may have embeddings of the task (``use_task_id``).
        projects: Whether its embeddings may be narrower than its layers (``embedding_size``).
        own: The network that it stays, if it doesn't become a BERT.
        names: Parts of its tensors' names, and what BERT calls them; a part that doesn't begin with
            a dot is a name's beginning.
        defaults: What ``config.json`` means where it doesn't say, if it isn't what BERT's does.
    """

    title: str
    prefix: str
    offset: bool = False
    tasks: bool = False
    projects: bool = False
    own: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


_ROBERTA: dict[str, Any] = {
    "prefix": "roberta.",
    "offset": True,
    "names": _HEAD,
    "defaults": {"pad_token_id": 1},
}
_ELECTRA = {
    "embedding_size": 128,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
FAMILIES = {
    "bert": Family("BERT", "bert."),
    "roberta": Family("RoBERTa", **_ROBERTA),  # Liu et al. 2019
    "xlm-roberta": Family("XLM-R", **_ROBERTA),  # Conneau et al. 2020
    "ernie": Family("ERNIE", "ernie.", tasks=True),  # Sun et al. 2020
    "electra": Family("ELECTRA", "electra.", projects=True, defaults=_ELECTRA),  # Clark et al. 2020
    "roformer": Family("RoFormer", "roformer.", own="roformer"),
    "modernbert": Family("ModernBERT", "model.", own="modernbert", names=_MODERN),
    "deberta-v2": Family("DeBERTa-v2", "deberta.", own="deberta-v2", names=_DEBERTA),
}
"""By the ``model_type`` of ``config.json``. None of them has a pooler for sure."""


class _Tasks(Strict):
    """What an ERNIE's ``config.json`` has besides."""

    use_task_id: bool = False
    task_type_vocab_size: Size = 3


@dataclass(frozen=True)
class Plan:
    """How one checkpoint is read.

    Attributes:
        family: Of its network.
        config: Its ``config.json``, checked and with defaults, before it becomes BERT's.
        shapes: Names and shapes of the weights it must have.
    """

    family: Family
    config: dict[str, Any]
    shapes: dict[str, Shape]

    def finish(self, weights: Weights) -> tuple[dict[str, Any], Weights]:
        """Config and weights as the engines know them.

        Args:
            weights: Named by `plain_name`; at least those of `shapes`.
        """
        config, weights = dict(self.config), dict(weights)
        if self.family.own:
            return config, {name: weights[name] for name in self.shapes}
        if self.family.offset:
            first = _first_position(config)
            weights[_POSITIONS] = weights[_POSITIONS][first:].copy()  # (positions, width)
            config["max_position_embeddings"] -= first
        if _TYPES not in self.shapes:
            weights[_TYPES] = np.zeros((1, embedded_width(config)), np.float32)
        if _TASKS in self.shapes:
            # (types, width) + (width,)
            weights[_TYPES] = weights[_TYPES] + weights.pop(_TASKS)[0]
        for key in ("use_task_id", "task_type_vocab_size"):
            config.pop(key, None)
        if embedded_width(config) == config["hidden_size"]:
            config.pop("embedding_size", None)
            return {**config, "model_type": "bert"}, weights
        return {**config, "model_type": "electra"}, weights


def plan(config: dict[str, Any], names: Collection[str], where: Path) -> Plan:
    """How to read a checkpoint, of which nothing but the config and the headers is known yet.

    Args:
        config: The keys of its ``config.json``.
        names: Of its tensors.
        where: Its ``config.json``.

    Raises:
        BertZhError: It is of another family, or a value can't be right.
    """
    family = _find_family(config, names, where)
    if family.own:
        config = complete(config, where)
        return Plan(family, config, expected_shapes(config))
    given = {**family.defaults, **config}
    # One row of zeros stands for no row.
    typed = given.get("type_vocab_size") != 0
    given = given if typed else {**given, "type_vocab_size": 1}
    kind = "electra" if family.projects else "bert"
    config = complete({**given, "model_type": kind}, where)
    shapes = expected_shapes(config)
    if not typed:
        del shapes[_TYPES]
    if family.offset and config["max_position_embeddings"] <= _first_position(config):
        raise BertZhError(
            f"{where}: max_position_embeddings = {config['max_position_embeddings']} leaves no "
            f"position: the first of a {family.title} is {_first_position(config)}"
        )
    if family.tasks and (tasks := checked(_Tasks, config, where)).use_task_id:
        shapes[_TASKS] = (tasks.task_type_vocab_size, config["hidden_size"])
    return Plan(family, config, shapes)


def plain_name(name: str, family: Family) -> str:
    """The name in `transformers.BertModel` of a tensor with an older, longer or other name."""
    name = name.removeprefix(family.prefix).removeprefix("bert.")
    for other, plain in family.names.items():
        if other.startswith("."):
            name = name.replace(other, plain)
        elif name.startswith(other):
            name = plain + name.removeprefix(other)
            if not family.own:
                break
    name = name.replace("predictions.decoder.bias", "predictions.bias")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def own_names(kind: str, weights: Weights) -> Weights:
    """A network's weights with the names that transformers has for them, see `plain_name`.

    Args:
        kind: Its ``model_type``, one of those that don't become a BERT.
        weights: Named as in `Checkpoint`.
    """
    named: Weights = {}
    for name, tensor in weights.items():
        if kind == "modernbert" and ".self." in name:
            if ".self.query." in name:
                three = [weights[name.replace("query", part)] for part in ("query", "key", "value")]
                named[name.replace("query", "query_key_value")] = np.concatenate(three)
            continue
        named[name] = tensor
    # ".attention.output.dense." before ".output.dense.".
    for other, plain in sorted(FAMILIES[kind].names.items(), key=lambda pair: -len(pair[1])):
        named = {
            name.replace(plain, other)
            if plain.startswith(".") or name.startswith(plain)
            else name: tensor
            for name, tensor in named.items()
        }
    return named


def _find_family(config: dict[str, Any], names: Collection[str], where: Path) -> Family:
    kind = config.get("model_type", "bert")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(family.title for family in FAMILIES.values())
        raise BertZhError(
            f"{where} describes a {shorten(kind)} model, not a BERT or one of its relatives that "
            f"can be loaded: {known}"
        )
    if kind in ("bert", "roberta", "xlm-roberta"):
        kind = _bert_or_roberta(kind, config, names)
    return FAMILIES[kind]


def _bert_or_roberta(kind: str, config: dict[str, Any], names: Collection[str]) -> str:
    """Which of them it is: checkpoints named "roberta-wwm" are BERTs, and some say "roberta".

    Where a head stands on the network its tensors tell; else a RoBERTa has its padding at 1.
    """
    if any(name.startswith("roberta.") for name in names):
        return "roberta" if kind == "bert" else kind
    if any(name.startswith("bert.") for name in names):
        return "bert"
    is_bert = kind == "roberta" and config.get("pad_token_id", 0) != 1
    return "bert" if is_bert else kind


def _first_position(config: dict[str, Any]) -> int:
    return int(config["pad_token_id"] or 0) + 1
