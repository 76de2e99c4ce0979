"""A vocabulary without the pieces that some texts never use: less memory, the same scores.

A tokenizer of a hundred languages has 250,000 pieces, and their embeddings are most of a small
network. Rows that no text asks for can go; those that stay are not changed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from spacy_bert_zh.checkpoint.folder import Checkpoint
from spacy_bert_zh.checkpoint.tokenizer import parse_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import shorten

ZH = "zh"
"""The rule for Chinese."""

# Two characters side by side of a script that is neither Han, kana, bopomofo nor Latin, as in
# Cyrillic, Greek, Arabic, Thai or Korean words. Alone they stand in Chinese texts, too: in
# formulas and faces made of signs.
_FOREIGN = re.compile(
    "[\u0370-\u1dff\u1f00-\u1fff\u2c00-\u2ddf\ua000-\ud7ff\ufb00-\ufdff\ufe70-\ufefe"
    "\U00010000-\U0001cfff]{2}"
)
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_LINES = 1_000  # cut into pieces at once

_WORDS, _BIAS = "embeddings.word_embeddings.weight", "cls.predictions.bias"
_POSITIONS = "embeddings.position_embeddings.weight"


def trim(checkpoint: Checkpoint, rule: str) -> Checkpoint:
    """A checkpoint without the pieces, and their embeddings, that some texts don't use.

    With `ZH` those pieces go that have two letters of a foreign script side by side. Text that
    has none such keeps its pieces: the tokenizer's best segmentation (WordPiece's longest match,
    Unigram's highest score) consists of parts of the text, so none of what is dropped was in it,
    and all else that it was compared with is still there. With a file, those stay that the
    segmentation of its lines uses, and all single characters; other texts may be cut in another
    way.

    Special pieces, bytes, the checkpoint's prefix, and the lowest score, by which Unigram weighs
    what it doesn't know, stay in any case.

    Args:
        checkpoint: Config, tokenizer and weights.
        rule: `ZH`, or the path of a text file in UTF-8.

    Raises:
        BertZhError: There is no such file, or the tokenizer is of another kind.
    """
    parts = _parts(checkpoint)
    pieces = checkpoint.tokenizer.get_vocab()
    if rule == ZH:
        wanted = {id for piece, id in pieces.items() if not _FOREIGN.search(piece)}
    else:
        used, _ = _count(checkpoint, _lines(Path(rule)))
        wanted = used.keys() | _single(parts["model"]).keys()
    return _keep(checkpoint, parts, wanted)


def trim_to(checkpoint: Checkpoint, texts: Iterable[str], least: int = 1) -> Checkpoint:
    """A checkpoint with the pieces alone that texts use, and their single characters.

    With `least` = 1 the texts keep their pieces, and so their vectors to the bit. Beyond it words
    that are rarer are cut into shorter pieces, down to characters; those that are as rare become
    [UNK].

    Args:
        checkpoint: Config, tokenizer and weights.
        texts: As the network reads them, without the prefix.
        least: How often a piece, or a character, must occur.

    Raises:
        BertZhError: The tokenizer is of another kind, see `trim`.
    """
    parts = _parts(checkpoint)
    used, characters = _count(checkpoint, texts)
    wanted = {id for id, count in used.items() if count >= least}
    wanted |= {id for id, sign in _single(parts["model"]).items() if characters[sign] >= least}
    return _keep(checkpoint, parts, wanted)


def cut_positions(checkpoint: Checkpoint, length: int) -> Checkpoint:
    """A checkpoint without the positions that no window of so many pieces reaches."""
    config, weights = {**checkpoint.config, "max_position_embeddings": length}, checkpoint.weights
    if _POSITIONS in weights:
        weights = {**weights, _POSITIONS: weights[_POSITIONS][:length]}
    return replace(checkpoint, config=config, weights=weights)


def _parts(checkpoint: Checkpoint) -> dict[str, Any]:
    """The tokenizer's ``tokenizer.json``, if pieces can be left out of it."""
    parts: dict[str, Any] = json.loads(checkpoint.tokenizer.to_str())
    if parts["model"]["type"] not in ("WordPiece", "Unigram"):
        raise BertZhError(
            f"Backbone: trim can't cut a tokenizer of the kind {parts['model']['type']}, whose "
            "pieces are made of one another: only WordPiece and Unigram (trim = null)"
        )
    return parts


def _keep(checkpoint: Checkpoint, parts: dict[str, Any], wanted: set[int]) -> Checkpoint:
    """The same with these pieces, and those that can't be done without."""
    # Ids that added pieces have beyond the model's stay at the end.
    kept = sorted(_needed(parts, checkpoint) | wanted)
    new = {old: id for id, old in enumerate(kept)}
    tokenizer = parse_tokenizer(json.dumps(_with_ids(parts, new)), "The trimmed tokenizer.json")
    weights = {
        name: tensor[kept] if name in (_WORDS, _BIAS) else tensor  # (pieces, …)
        for name, tensor in checkpoint.weights.items()
    }
    return replace(
        checkpoint,
        config=_config(checkpoint.config, new),
        tokenizer=tokenizer,
        weights=weights,
    )


def _needed(parts: dict[str, Any], checkpoint: Checkpoint) -> set[int]:
    """Ids of what a tokenizer can't do without."""
    model, tokenizer = parts["model"], checkpoint.tokenizer
    needed = {token["id"] for token in parts["added_tokens"]}
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    needed |= {id for piece in special if (id := tokenizer.token_to_id(piece)) is not None}
    needed |= {id for piece, id in tokenizer.get_vocab().items() if _BYTE.fullmatch(piece)}
    needed |= set(tokenizer.encode(checkpoint.prefix, add_special_tokens=False).ids)
    if model["type"] == "Unigram":
        scores = [score for _, score in model["vocab"]]
        needed |= {model["unk_id"], scores.index(min(scores))}
    return needed


def _count(checkpoint: Checkpoint, texts: Iterable[str]) -> tuple[Counter[int], Counter[str]]:
    """How often texts use the ids of pieces, and characters as the tokenizer sees them."""
    tokenizer, rest = checkpoint.tokenizer, iter(texts)
    used, characters = Counter[int](), Counter[str]()
    while some := [checkpoint.prefix + text for text in islice(rest, _LINES)]:
        for encoding in tokenizer.encode_batch_fast(some, add_special_tokens=False):
            used.update(encoding.ids)
        for text in some:
            characters.update(
                tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
            )
    return used, characters


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from (line.rstrip("\r\n") for line in file)
    except (OSError, ValueError) as error:  # a name no file can have, or no UTF-8
        raise BertZhError(
            f'Backbone: trim = {shorten(str(path))} is neither "zh" nor a text file in UTF-8: '
            f"{error}"
        ) from error


def _single(model: dict[str, Any]) -> dict[int, str]:
    """Single characters by their ids, also where they begin a word or continue one."""
    if model["type"] == "WordPiece":
        entries: Iterator[tuple[str, int]] = iter(model["vocab"].items())
        mark = model["continuing_subword_prefix"]
    else:
        entries = ((piece, id) for id, (piece, _) in enumerate(model["vocab"]))
        mark = "▁"
    bare = ((id, piece.removeprefix(mark)) for piece, id in entries)
    return {id: piece for id, piece in bare if len(piece) <= 1}


def _with_ids(parts: dict[str, Any], new: dict[int, int]) -> dict[str, Any]:
    """A ``tokenizer.json`` with fewer pieces."""
    model = dict(parts["model"])
    if model["type"] == "WordPiece":
        vocab = model["vocab"].items()
        model["vocab"] = {piece: new[id] for piece, id in vocab if id in new}
    else:
        model["vocab"] = [entry for id, entry in enumerate(model["vocab"]) if id in new]
        model["unk_id"] = new[model["unk_id"]]
    added = [{**token, "id": new[token["id"]]} for token in parts["added_tokens"]]
    return {**parts, "model": model, "added_tokens": added}


def _config(config: dict[str, Any], new: dict[int, int]) -> dict[str, Any]:
    """A ``config.json`` for these pieces; an id that is gone is none."""
    ids = {name: id for name, id in config.items() if name.endswith("_token_id")}
    changed = {name: new.get(id) for name, id in ids.items() if type(id) is int}
    return {**config, **changed, "vocab_size": len(new)}
