"""BERT checkpoints in the Hugging Face layout: found, checked, read; no pickle, no engine.

One `Checkpoint` is also what a trained backbone keeps of itself, so that every engine
reads what any other wrote.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import srsly
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save
from tokenizers import Tokenizer

from spacy_bert_zh.checkpoint.families import Plan, plain_name, plan
from spacy_bert_zh.checkpoint.shapes import check_shapes, complete, expected_shapes
from spacy_bert_zh.checkpoint.tensors import Tensor, check_finite, find_tensors
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer, parse_tokenizer
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.pieces import EMBEDDED
from spacy_bert_zh.untrusted import Strict, check_msgpack, checked, one_line, parse_json, read_json

_FILES = [
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config_sentence_transformers.json",
    "*.safetensors",
    "*.safetensors.index.json",
]
_MISFIT = "The weights don't fit config.json"


@dataclass(frozen=True)
class Checkpoint:
    """A BERT encoder without an engine.

    Attributes:
        config: The keys of ``config.json``.
        tokenizer: Its word-piece tokenizer.
        weights: Tensors named as in `transformers.BertModel`, float32; those of the head of
            masked language modelling ``cls.predictions.…``, where there is one.
    """

    config: dict[str, Any]
    tokenizer: Tokenizer
    weights: dict[str, NDArray[Any]]

    @property
    def prefix(self) -> str:
        """What its network expects in front of each text, such as E5's "query: "."""
        return self.config.get("prefix") or ""

    def with_prefix(self, prefix: str) -> "Checkpoint":
        """The same with another prefix, or with none (an empty one)."""
        rest = {name: value for name, value in self.config.items() if name != "prefix"}
        return replace(self, config={**rest, "prefix": prefix} if prefix else rest)

    def to_bytes(self) -> bytes:
        """Serialise config, tokenizer and weights (as safetensors); never pickle."""
        return pack(self, "weights", save(self.weights))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Read what `to_bytes` wrote.

        Raises:
            BertZhError: It is damaged, or a value can't be right.
        """
        checkpoint, weights, _ = unpack(data, "weights")
        try:
            tensors = load(weights)
        except (SafetensorError, ValueError, TypeError, AttributeError) as error:
            raise BertZhError(f"The stored weights can't be read: {one_line(error)}") from error
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        check_shapes(shapes, expected_shapes(checkpoint.config), _MISFIT)
        for name, tensor in tensors.items():
            if tensor.dtype != np.float32:
                raise BertZhError(f"The stored weights {name} are no float32 but {tensor.dtype}")
            check_finite(name, tensor, "The stored backbone")
        return cls(checkpoint.config, checkpoint.tokenizer, tensors)


class _Message(Strict):
    """What a backbone keeps of itself, in its parts."""

    config: str
    tokenizer: str
    weights: bytes | None = None
    graph: bytes | None = None
    pooling: str | None = None


class Stored(NamedTuple):
    """What `pack` was given; the checkpoint is without weights."""

    checkpoint: Checkpoint
    content: bytes
    pooling: str | None


def pack(
    checkpoint: Checkpoint,
    kind: Literal["weights", "graph"],
    content: bytes,
    pooling: str | None = None,
) -> bytes:
    """Config and tokenizer of a checkpoint, weights or a graph, and how that graph pools."""
    message = {
        "config": json.dumps(checkpoint.config, sort_keys=True),
        "tokenizer": checkpoint.tokenizer.to_str(),
        kind: content,
    }
    if pooling:
        message["pooling"] = pooling
    return srsly.msgpack_dumps(message)


def holds_graph(data: bytes) -> bool:
    """Whether `pack` put a graph in, not weights."""
    return _message(data).graph is not None


def unpack(data: bytes, kind: Literal["weights", "graph"]) -> Stored:
    """Read what `pack` wrote.

    Raises:
        BertZhError: It is damaged, a value can't be right, or it is of the other kind.
    """
    message = _message(data)
    content = getattr(message, kind)
    if content is None:
        raise BertZhError(
            "This backbone holds an ONNX graph and no weights: only OnnxBackbone reads it"
            if message.graph
            else f"The stored backbone lacks its {kind}"
        )
    part = "The stored config.json"
    config = complete(parse_json(message.config, part), part)
    tokenizer = parse_tokenizer(message.tokenizer, "The stored tokenizer.json")
    _check_vocabulary(tokenizer, config, "the stored tokenizer.json")
    return Stored(Checkpoint(config, tokenizer, {}), content, message.pooling)


def _message(data: bytes) -> _Message:
    check_msgpack(data, "The stored backbone")
    try:
        content = srsly.msgpack_loads(data)
    except (ValueError, TypeError) as error:
        raise BertZhError(f"The stored backbone can't be read: {one_line(error)}") from error
    return checked(_Message, content, "The stored backbone")


def load_checkpoint(name: str | None, revision: str = "main") -> Checkpoint:
    """Read a checkpoint of BERT or of one of its relatives, see `families`.

    Args:
        name: A local folder, or else a name on the Hugging Face hub (the only case in
            which the network is used); None takes the checkpoint that ships with us.
        revision: Branch, tag or commit on the hub.

    Raises:
        BertZhError: Something is missing in the folder, or damaged, or it isn't one of these.
    """
    folder = EMBEDDED if name is None else _locate(name, revision)
    config = _read_config(folder)
    tensors = _find_weights(folder)
    way = plan(config, tensors, folder / "config.json")
    tokenizer = load_tokenizer(folder)
    _check_vocabulary(tokenizer, way.config, folder)
    config, weights = way.finish(_read_weights(folder, tensors, way))
    return Checkpoint(config, tokenizer, weights)


def find_tokenizer(name: str | None, revision: str = "main") -> Tokenizer:
    """Read the tokenizer of a checkpoint alone; see `load_checkpoint`."""
    return load_tokenizer(EMBEDDED if name is None else _locate(name, revision))


def find_settings(name: str | None, revision: str = "main") -> dict[str, Any]:
    """Read the ``config.json`` of a checkpoint alone; see `load_checkpoint`."""
    return _read_config(EMBEDDED if name is None else _locate(name, revision))


def _locate(name: str, revision: str) -> Path:
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise BertZhError(f"No such checkpoint folder: {name} (setting 'name' of the backbone)")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise missing_extra("huggingface_hub", "torch", f"the checkpoint '{name}'") from None
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except (OSError, ValueError) as error:  # the hub's errors derive from these two
        reason = str(error).strip().split("\n")[0]
        raise BertZhError(
            f"'{name}' is neither a local folder nor to be had from the Hugging Face hub: {reason}"
        ) from error


def _check_vocabulary(tokenizer: Tokenizer, config: dict[str, Any], where: Path | str) -> None:
    if (size := tokenizer.get_vocab_size()) > config["vocab_size"]:
        raise BertZhError(
            f"The vocabulary in {where} has {size} pieces, but config.json says vocab_size = "
            f"{config['vocab_size']}: vocabulary and weights are not of the same model"
        )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise BertZhError(f"No config.json in {folder}: not a checkpoint folder")
    config = read_json(path)
    # A path of the machine that made it, written by some versions of transformers.
    config.pop("_name_or_path", None)
    prompts = folder / "config_sentence_transformers.json"
    if not config.get("prefix") and prompts.exists():
        told = checked(_Prompts, read_json(prompts), prompts)
        config["prefix"] = told.prompts.get(told.default_prompt_name or "")
    return config


class _Prompts(Strict):
    """What is read of a ``config_sentence_transformers.json``."""

    prompts: dict[str, str | None] = Field(default={})
    default_prompt_name: str | None = None


# Of the heads of pretraining, the one of masked language modelling stays.
_PARTS = (
    *("embeddings.", "embeddings_project.", "encoder.", "final_norm.", "pooler."),
    "cls.predictions.",
)
_TIED = "cls.predictions.decoder.weight"  # the word embeddings once more


def _find_weights(folder: Path) -> dict[str, Tensor]:
    tensors = find_tensors(folder)
    if not tensors and not list(folder.glob("*.safetensors")):
        raise BertZhError(_no_weights(folder))
    return tensors


def _read_weights(folder: Path, tensors: dict[str, Tensor], way: Plan) -> dict[str, NDArray[Any]]:
    named = {plain_name(key, way.family): tensor for key, tensor in tensors.items()}
    for key in [key for key in named if "query_key_value" in key]:
        for part, third in zip(("query", "key", "value"), named.pop(key).thirds(), strict=True):
            named[key.replace("query_key_value", part)] = third
    wanted = {
        key: tensor for key, tensor in named.items() if key.startswith(_PARTS) and key != _TIED
    }
    shapes = {key: tensor.shape for key, tensor in wanted.items()}
    check_shapes(shapes, way.shapes, f"{folder}: {_MISFIT[0].lower()}{_MISFIT[1:]}")
    for key in way.shapes:
        if not wanted[key].is_float:
            raise BertZhError(
                f"{wanted[key].path}: the weights {key} are {wanted[key].dtype}: only floats of "
                "16, 32 and 64 bits are read, no quantised checkpoints"
            )
    weights = {key: tensor.read() for key, tensor in wanted.items() if tensor.is_float}
    for key, values in weights.items():
        check_finite(key, values, wanted[key].path)
    return weights


def _no_weights(folder: Path) -> str:
    if (folder / "pytorch_model.bin").exists():
        return (
            f"{folder} holds its weights only as pickle (pytorch_model.bin), which is never read "
            'here. Convert it once: python -c "from transformers import AutoModel; '
            f"AutoModel.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    return f"No weights in {folder}: expected model.safetensors"
