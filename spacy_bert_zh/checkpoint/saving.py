"""Checkpoints written in the Hugging Face layout: no pickle, no engine."""

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.decoders import Metaspace
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.processors import BertProcessing, TemplateProcessing

from spacy_bert_zh.checkpoint.families import own_names
from spacy_bert_zh.checkpoint.folder import Checkpoint
from spacy_bert_zh.checkpoint.shapes import expected_shapes
from spacy_bert_zh.checkpoint.structure import structure
from spacy_bert_zh.pieces import PieceEncoder

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# transformers may build BERT's own tokenizer from vocab.txt alone, which would cut words up.
_CLASSES = {"WordPiece": "BertTokenizer"}
# What transformers calls the networks that don't become a BERT.
MODELS = {"roformer": "RoFormer", "modernbert": "ModernBert", "deberta-v2": "DebertaV2"}
_ELECTRA = ("embeddings", "encoder.")


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a folder that `load_checkpoint` and transformers read.

    It is for `AutoModelForMaskedLM` if the weights have the head of masked language modelling,
    else for `AutoModel`.

    Args:
        checkpoint: Config, tokenizer and weights.
        folder: The folder to make.
    """
    weights = checkpoint.weights
    masked = any(name.startswith("cls.") for name in weights)
    architecture = "BertForMaskedLM" if masked else "BertModel"
    if checkpoint.config.get("model_type") == "electra":  # it has no head of that name
        architecture, masked = "ElectraModel", False
        weights = {name: tensor for name, tensor in weights.items() if name.startswith(_ELECTRA)}
    kind = checkpoint.config.get("model_type", "bert")
    if structure(checkpoint.config):
        architecture, masked = f"{MODELS[kind]}Model", False
        expected = expected_shapes(checkpoint.config)
        weights = own_names(kind, {name: weights[name] for name in expected})
    if masked:
        weights = {k if k.startswith("cls.") else f"bert.{k}": v for k, v in weights.items()}
    config = {**checkpoint.config, "architectures": [architecture]}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # written for the owner alone
    positions = checkpoint.config.get("max_position_embeddings", 512)
    write_tokenizer(checkpoint.tokenizer, folder, positions)


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int, prefix: str = "") -> None:
    """Write ``tokenizer.json``, ``tokenizer_config.json`` and ``vocab.txt``.

    transformers' `AutoTokenizer` then adds [CLS] and [SEP] and puts pieces together again.

    Args:
        tokenizer: The tokenizer.
        folder: Where to.
        max_length: Pieces that the network reads at once.
        prefix: Is put in front of each text, too.
    """
    complete = Tokenizer.from_str(tokenizer.to_str())
    cls, sep = ((piece, complete.token_to_id(piece)) for piece in ("[CLS]", "[SEP]"))
    complete.post_processor = BertProcessing(sep, cls)
    if prefix:
        complete.post_processor = _template(PieceEncoder(tokenizer, max_length, 0, 0, prefix))
    plain = json.loads(tokenizer.to_str())
    complete.decoder = (
        Metaspace() if "Metaspace" in str(plain["pre_tokenizer"]) else WordPieceDecoder()
    )
    complete.save(str(folder / "tokenizer.json"))
    normalizer = plain["normalizer"] or {}
    # Only pretraining needs [MASK]: some vocabularies lack it.
    special = [piece for piece in SPECIAL if tokenizer.token_to_id(piece) is not None]
    settings = {
        "tokenizer_class": _CLASSES.get(plain["model"]["type"], "PreTrainedTokenizerFast"),
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
        "model_max_length": max_length,
        **{f"{piece.strip('[]').lower()}_token": piece for piece in special},
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, "utf-8")
    write_lines(pieces_of(tokenizer), folder / "vocab.txt")


def _template(encoder: PieceEncoder) -> TemplateProcessing:
    """Puts [CLS] and the prefix before a text's pieces, and [SEP] behind them."""
    if not encoder.is_apart:
        print(
            f"tokenizer.json splits a text in another way than with {encoder.prefix!r} in front of "
            "it: put a space or a full stop at the end of the prefix for equal scores"
        )
    tokenizer = encoder.tokenizer
    front = {
        "id": "prefix",
        "ids": encoder.front,
        "tokens": [tokenizer.id_to_token(id) for id in encoder.front],
    }
    ends = [(piece, tokenizer.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")]
    return TemplateProcessing(
        single="[CLS] prefix $A [SEP]",
        pair="[CLS] prefix $A [SEP] $B:1 [SEP]:1",
        special_tokens=[*ends, front],
    )


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write a ``vocab.txt``."""
    path.write_text("\n".join(lines) + "\n", "utf-8")


def pieces_of(tokenizer: Tokenizer) -> list[str]:
    """The pieces in the order of their ids."""
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
