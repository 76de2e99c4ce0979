"""Tiny random networks of each family, as `transformers` writes them, and what it says of texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModel

from spacy_bert_zh.checkpoint import load_tokenizer
from tests.conftest import TEXTS, make_docs, make_rows

CHARACTERS = sorted({c for text, _ in make_rows(400) for c in text})
BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
FAIRSEQ = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
# model_type: names of special pieces, and what the config has besides sizes.
FAMILIES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "bert": (BERT, {}),
    "roberta": (FAIRSEQ, {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "xlm-roberta": (FAIRSEQ, {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "ernie": (BERT, {"use_task_id": True, "task_type_vocab_size": 3}),
    "electra": (BERT, {"embedding_size": 8}),
}

_DEBERTA: dict[str, Any] = {
    "relative_attention": True,
    "position_buckets": 8,
    "position_biased_input": False,
    "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
}
# Those that stay what they are; name: model_type and what the config has besides.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "roformer": ("roformer", {}),
    "roformer-narrow": ("roformer", {"embedding_size": 8, "rotary_value": True}),
    "modernbert": ("modernbert", {"local_attention": 8, "num_hidden_layers": 4}),
    "modernbert-biased": (
        "modernbert",
        {
            **dict.fromkeys(("attention_bias", "mlp_bias", "norm_bias"), True),
            "local_attention": 6,
            "local_rope_theta": None,
            "global_attn_every_n_layers": 2,
        },
    ),
    "deberta-v2": ("deberta-v2", _DEBERTA),
    "deberta-far": (
        "deberta-v2",
        {
            **_DEBERTA,
            "position_buckets": -1,
            "max_relative_positions": 6,
            "position_biased_input": True,
            "type_vocab_size": 2,
            "pos_att_type": "c2p|p2c",
            "share_att_key": False,
            "norm_rel_ebd": "none",
            "embedding_size": 8,
        },
    ),
    "deberta-one": ("deberta-v2", {**_DEBERTA, "pos_att_type": ["p2c"], "share_att_key": False}),
}


def write_tokenizer(folder: Path, names: dict[str, str]) -> int:
    """WordPiece by ``vocab.txt``, or SentencePiece's steps by ``tokenizer.json``; pieces in it."""
    pieces = [*names.values(), *CHARACTERS, "a", "b"]
    if names is BERT:
        pieces += ["##a", "##b"]
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
        return len(pieces)
    pieces += ["▁", "米饭", "▁味道", "不错", "▁слово", "한글"]
    cls, sep = ({"SpecialToken": {"id": names[role], "type_id": 0}} for role in ("cls", "sep"))
    template = [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep]
    special = {
        name: {"id": name, "ids": [pieces.index(name)], "tokens": [name]}
        for name in (names["cls"], names["sep"])
    }
    whole = {
        "version": "1.0",
        "added_tokens": [
            {"id": id, "content": piece, "special": True} | dict.fromkeys(FLAGS, False)
            for id, piece in enumerate(names.values())
        ],
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": template,
            "special_tokens": special,
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "model": {
            "type": "Unigram",
            "unk_id": pieces.index(names["unk"]),
            "vocab": [[piece, -float(id) * (id > 4)] for id, piece in enumerate(pieces)],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(whole), "utf-8")
    told = {f"{role}_token": name for role, name in names.items()}
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(told), "utf-8")
    return len(pieces)


FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def write_family(kind: str, folder: Path, **values: Any) -> Any:
    """A checkpoint of a family with random weights; the network."""
    kind, besides = OTHERS.get(kind, (kind, {}))
    names, besides = FAMILIES.get(kind, (BERT, besides))
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32}
    folder.mkdir(exist_ok=True)
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=write_tokenizer(folder, names),
        num_attention_heads=2,
        max_position_embeddings=66,
        pad_token_id=list(names).index("pad"),
        **{**sizes, **besides, **values},
    )
    torch.manual_seed(2)
    network = AutoModel.from_config(config).eval()
    for parameter in network.parameters():
        if parameter.requires_grad:  # a RoFormer's angles are no weights
            parameter.data += 0.2 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    return network


def vectors_of(network: Any, folder: Path, pooling: str, length: int = 32) -> np.ndarray:
    """Vectors of the texts' beginnings by the network's own forward pass."""
    tokenizer = load_tokenizer(folder)
    cls, sep = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids[: length - 2]
        with torch.inference_mode():
            found = network(input_ids=torch.tensor([[cls, *ids, sep]]))
        states = found.last_hidden_state[0]
        pooled = {"cls": states[0], "mean": states.mean(0)}
        rows.append(found.pooler_output[0] if pooling == "pooler" else pooled[pooling])
    return torch.stack(rows).numpy()


def built(engine: Any, folder: Path, pooling: str, **settings: Any) -> Any:
    """A backbone with a folder's weights, which reads what `vectors_of` reads."""
    model = engine(str(folder), max_length=32, max_windows=1, pooling=pooling, **settings)
    model.initialize()
    return model


def assert_same_vectors(engine: Any, kind: str, folder: Path) -> None:
    """Whether an engine's vectors are those of `transformers`, before and after it was stored."""
    network = write_family(kind, folder)
    without = kind == "electra" or kind in OTHERS  # a pooler
    for pooling in ("cls", "mean", "pooler")[: 2 if without else 3]:
        expected = vectors_of(network, folder, pooling)
        model = built(engine, folder, pooling)
        found = model.predict(make_docs())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        again = engine(None, max_length=32, max_windows=1, pooling=pooling)
        again.from_bytes(model.to_bytes())
        np.testing.assert_array_equal(again.predict(make_docs()), found)
