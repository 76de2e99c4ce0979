"""BERT checkpoints in the Hugging Face layout: found, checked, read; no pickle, no engine.

One `Checkpoint` is also what a trained backbone keeps of itself, so that every engine
reads what any other wrote.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load, save
from tokenizers import Tokenizer

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.pieces import EMBEDDED, load_tokenizer, read_json

_FILES = ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "*.safetensors"]


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

    def to_bytes(self) -> bytes:
        """Serialise config, tokenizer and weights (as safetensors); never pickle."""
        message = {
            "config": json.dumps(self.config, sort_keys=True),
            "tokenizer": self.tokenizer.to_str(),
            "weights": save(self.weights),
        }
        return srsly.msgpack_dumps(message)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Read what `to_bytes` wrote."""
        message = srsly.msgpack_loads(data)
        if "weights" not in message:
            raise BertZhError(
                "This backbone holds an ONNX graph and no weights: only OnnxBackbone reads it"
            )
        return cls(
            json.loads(message["config"]),
            Tokenizer.from_str(message["tokenizer"]),
            load(message["weights"]),
        )


def load_checkpoint(name: str | None, revision: str = "main") -> Checkpoint:
    """Read a BERT, BERT-wwm, RoBERTa-wwm or MacBERT checkpoint.

    Args:
        name: A local folder, or else a name on the Hugging Face hub (the only case in
            which the network is used); None takes the checkpoint that ships with us.
        revision: Branch, tag or commit on the hub.

    Raises:
        BertZhError: Something is missing in the folder, or it isn't a BERT.
    """
    folder = EMBEDDED if name is None else _locate(name, revision)
    config = _read_config(folder)
    tokenizer = load_tokenizer(folder)
    if (size := max(tokenizer.get_vocab().values()) + 1) > config["vocab_size"]:
        raise BertZhError(
            f"The vocabulary in {folder} has {size} pieces, but config.json says vocab_size = "
            f"{config['vocab_size']}: vocabulary and weights are not of the same model"
        )
    weights = _read_weights(folder, config)
    return Checkpoint({**config, "model_type": "bert"}, tokenizer, weights)


def find_tokenizer(name: str | None, revision: str = "main") -> Tokenizer:
    """Read the tokenizer of a checkpoint alone; see `load_checkpoint`."""
    return load_tokenizer(EMBEDDED if name is None else _locate(name, revision))


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


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise BertZhError(f"No config.json in {folder}: not a checkpoint folder")
    config = read_json(path)
    # Checkpoints named "roberta-wwm" are BERTs, and some say "roberta"; see _is_roberta.
    if config.get("model_type", "bert") not in ("bert", "roberta"):
        raise BertZhError(f"{folder} holds a '{config['model_type']}' model, not a BERT")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise BertZhError(
            f"{path}: position_embedding_type = '{config['position_embedding_type']}' "
            "is not supported, only 'absolute'"
        )
    missing = {"vocab_size", "hidden_size", "num_hidden_layers"} - config.keys()
    if missing:
        raise BertZhError(f"{path} lacks {', '.join(sorted(missing))}")
    # A path of the machine that made it, written by some versions of transformers.
    config.pop("_name_or_path", None)
    return config


def _read_weights(folder: Path, config: dict[str, Any]) -> dict[str, NDArray[Any]]:
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise BertZhError(_no_weights(folder))
    tensors: dict[str, dict[str, Any]] = {}
    for path in paths:
        try:
            tensors.update(deserialize(path.read_bytes()))
        except (SafetensorError, OSError) as error:
            raise BertZhError(f"{path} can't be read: {error}") from error
    if _is_roberta(config, list(tensors)):
        raise BertZhError(f"{folder} holds a RoBERTa with its own layout, not a BERT")
    named = {_plain_name(key): tensor for key, tensor in tensors.items()}
    return {
        key: _to_float32(tensor)
        for key, tensor in named.items()
        if key.startswith(_PARTS) and key != _TIED and tensor["dtype"] in _FLOATS
    }


# Of the heads of pretraining, the one of masked language modelling stays.
_PARTS = ("embeddings.", "encoder.", "pooler.", "cls.predictions.")
_TIED = "cls.predictions.decoder.weight"  # the word embeddings once more
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _to_float32(tensor: dict[str, Any]) -> NDArray[np.float32]:
    values = np.frombuffer(tensor["data"], _FLOATS[tensor["dtype"]])
    if tensor["dtype"] == "BF16":  # unknown to NumPy: the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.astype(np.float32, copy=False).reshape(tensor["shape"])


def _is_roberta(config: dict[str, Any], keys: list[str]) -> bool:
    """Whether positions are counted as in RoBERTa (Liu et al. 2019), from the padding id up."""
    if any(key.startswith(("bert.", "roberta.")) for key in keys):
        return any(key.startswith("roberta.") for key in keys)
    return config.get("model_type") == "roberta" and config.get("pad_token_id") == 1


def _plain_name(key: str) -> str:
    """The name in `transformers.BertModel` of a tensor with an older or longer name."""
    key = key.removeprefix("bert.").replace("predictions.decoder.bias", "predictions.bias")
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _no_weights(folder: Path) -> str:
    if (folder / "pytorch_model.bin").exists():
        return (
            f"{folder} holds its weights only as pickle (pytorch_model.bin), which is never read "
            'here. Convert it once: python -c "from transformers import AutoModel; '
            f"AutoModel.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    return f"No weights in {folder}: expected model.safetensors"
