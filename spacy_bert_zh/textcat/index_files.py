"""How an index of neighbours lies in files, which others may have changed or damaged."""

import json
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.neighbours import MOST, Entry, Mixing, Neighbours
from spacy_bert_zh.textcat.space import read_space
from spacy_bert_zh.untrusted import checked, parse_json, read_bytes

FILES = VECTORS, TEXTS = ("vectors.safetensors", "texts.jsonl")
_MOST_BYTES = 1 << 30


def to_parts(index: Neighbours) -> dict[str, bytes]:
    """As files, by name."""
    lines = (json.dumps(entry.model_dump(), ensure_ascii=False) for entry in index.entries)
    text = "".join(f"{line}\n" for line in lines)
    return {VECTORS: index.to_bytes(), TEXTS: text.encode("utf-8", "surrogatepass")}


def from_parts(parts: dict[str, bytes], mixing: Mixing, where: Path | str) -> Neighbours:
    """From the files that `to_parts` made.

    Raises:
        BertZhError: They are damaged, or don't fit each other.
    """
    try:
        # Not splitlines: a text may hold other ends of lines.
        lines = parts[TEXTS].decode("utf-8", "surrogatepass").split("\n")[:-1]
        data = parts[VECTORS]
    except (KeyError, UnicodeDecodeError) as error:
        raise BertZhError(f"{where} is damaged ({type(error).__name__}: {error})") from error
    if len(lines) > MOST:
        raise BertZhError(f"{where} has {len(lines):,} texts, and {MOST:,} is the most")
    entries = [
        checked(Entry, parse_json(line, f"{where}, line {number}"), f"{where}, line {number}")
        for number, line in enumerate(lines, 1)
    ]
    space = read_space(data, len(entries), where)
    return Neighbours(space.mean, space.whiten, space.vectors, mixing, entries)


def read_parts(folder: Path) -> dict[str, bytes]:
    """The files of an index in a folder.

    Raises:
        BertZhError: One is missing or far too large.
    """
    return {name: read_bytes(folder / name, _MOST_BYTES) for name in FILES}
