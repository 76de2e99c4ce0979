"""Special pieces, found by what they are for, and named as in BERT from there on.

``<s>`` begins a text in RoBERTa as ``[CLS]`` does in BERT. Whatever a checkpoint calls them, here
they get BERT's names when its tokenizer is read; ids stay. So nothing else has to know.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeGuard

from pydantic import StringConstraints

from spacy_bert_zh.untrusted import Strict, checked, read_json

NAMES = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "mask": "[MASK]", "pad": "[PAD]"}
"""BERT's names by role."""
FILES = ("special_tokens_map.json", "tokenizer_config.json")
"""Beside the vocabulary, where roles may be told; the later one counts more."""

_Name = Annotated[str, StringConstraints(max_length=256)]


class _Added(Strict):
    content: _Name


_Told = _Name | _Added | None


class _Roles(Strict):
    """What the files tell; an old one may know only the beginning and the end of a sequence."""

    bos_token: _Told = None
    eos_token: _Told = None
    cls_token: _Told = None
    sep_token: _Told = None
    unk_token: _Told = None
    mask_token: _Told = None
    pad_token: _Told = None


def find_roles(folder: Path, parts: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The special pieces by role, as far as they are told; a piece has one role.

    What a tokenizer does itself (its post-processor, its model) counts more than what the files
    beside it say.

    Args:
        folder: Where `FILES` may lie.
        parts: The ``tokenizer.json``.

    Raises:
        BertZhError: A file is damaged.
    """
    told: dict[str, str] = {}
    for name in FILES:
        if (path := folder / name).exists():
            told |= _told_by(checked(_Roles, read_json(path), path))
    found = {"cls": told.get("bos"), "sep": told.get("eos"), **told, **_done_by(parts or {})}
    roles: dict[str, str] = {}
    for role in NAMES:
        if (piece := found.get(role)) and piece not in roles.values():
            roles[role] = piece
    return roles


def _told_by(roles: _Roles) -> dict[str, str]:
    given = {name.removesuffix("_token"): getattr(roles, name) for name in _Roles.model_fields}
    plain = {role: one.content if isinstance(one, _Added) else one for role, one in given.items()}
    return {role: piece for role, piece in plain.items() if piece}


def _done_by(parts: Mapping[str, Any]) -> dict[str, str]:
    """What a tokenizer puts around a text, and what it takes for what it doesn't know."""
    found = _around(parts.get("post_processor"))
    model = parts.get("model")
    if isinstance(model, dict):
        unknown, vocab = model.get("unk_token"), model.get("vocab")
        if isinstance(vocab, list) and isinstance(id := model.get("unk_id"), int):
            entry = vocab[id] if 0 <= id < len(vocab) else None
            unknown = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(unknown, str):
            found["unk"] = unknown
    return found


def _around(processor: Any) -> dict[str, str]:
    """The first and the last piece that a post-processor adds; nothing where it isn't clear."""
    if not isinstance(processor, dict):
        return {}
    inner = processor.get("processors")
    if processor.get("type") == "Sequence" and isinstance(inner, list):
        return {role: piece for one in inner for role, piece in _around(one).items()}
    single = processor.get("single")
    if processor.get("type") == "TemplateProcessing" and isinstance(single, list):
        steps = [step.get("SpecialToken") for step in single if isinstance(step, dict)]
        ends = {"cls": steps[0], "sep": steps[-1]} if steps else {}
        named = {role: end.get("id") for role, end in ends.items() if isinstance(end, dict)}
    else:  # BertProcessing and RobertaProcessing: the piece and its id
        pairs = {role: processor.get(role) for role in ("cls", "sep")}
        named = {role: pair[0] for role, pair in pairs.items() if isinstance(pair, list) and pair}
    return {role: piece for role, piece in named.items() if isinstance(piece, str)}


def new_names(pieces: Collection[str], roles: Mapping[str, str]) -> dict[str, str]:
    """What some pieces are called from now on.

    A piece that has a name of BERT's but not its role gets the name that has become free.

    Args:
        pieces: All there are.
        roles: See `find_roles`.

    Returns:
        Old names to new ones, of those that change.
    """
    names = {piece: NAMES[role] for role, piece in roles.items() if piece in pieces}
    taken = [name for name in names.values() if name in pieces and name not in names]
    free = [piece for piece in names if piece not in names.values()]
    names |= dict(zip(taken, free, strict=False))
    return {old: new for old, new in names.items() if old != new}


def rename(parts: dict[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    """A ``tokenizer.json`` with BERT's names of special pieces.

    Args:
        parts: The file; not checked yet, so that it may be anything.
        roles: See `find_roles`.
    """
    model, added = parts.get("model"), parts.get("added_tokens", [])
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(added, list):
        return parts
    if isinstance(vocab, dict):
        ids = dict(vocab)
    elif isinstance(vocab, list) and all(_is_entry(entry) for entry in vocab):
        ids = {entry[0]: id for id, entry in enumerate(vocab)}
    else:
        return parts
    contents = [token.get("content") for token in added if isinstance(token, dict)]
    tokens = {content for content in contents if _is_text(content)}
    names = new_names({*ids, *tokens}, roles)
    if not names:
        return parts
    if isinstance(vocab, dict):
        vocab = {names.get(piece, piece): id for piece, id in vocab.items()}
    else:
        vocab = [[names.get(entry[0], entry[0]), *entry[1:]] for entry in vocab]
    model = {**model, "vocab": vocab}
    if _is_text(unknown := model.get("unk_token")):
        model["unk_token"] = names.get(unknown, unknown)
    added = [
        {**token, "content": names.get(token["content"], token["content"])}
        if isinstance(token, dict) and _is_text(token.get("content"))
        else token
        for token in added
    ]
    # A text that spells one out has it as one piece.
    added += [
        {"id": ids[piece], "content": names[piece], "special": True}
        for piece in roles.values()
        if piece in names and piece in ids and piece not in tokens
    ]
    return {**parts, "model": model, "added_tokens": added}


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) > 0 and isinstance(entry[0], str)


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)
