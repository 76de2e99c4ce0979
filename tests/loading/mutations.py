"""Damage of all kinds done to files: to bytes, to values of JSON and msgpack, to lines of a config.

Each is drawn from a `Random`: the same seed is the same damage.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import srsly

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    20_000,
    200_000,
    2**31,
    2**63,
    10**30,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "12",
    "null",
    "../../x",
    "/dev/zero",
    "${paths.train}",
    "\ud800",
    "\0",
    "字" * 100_000,
    b"\xff\xfe",
    [],
    {},
    [[]],
    ["a", "a"],
    {"a": {"b": None}},
    list(range(1000)),
)
ODD_LINES = (
    "null",
    "true",
    "-1",
    "1e999",
    "NaN",
    '"x"',
    "[[1]]",
    '{"a":1}',
    "${components}",
    "${components.bert_textcat.model.backbone}",
    "${nlp.lang",
    '"spacy_bert_zh.Unknown.v1"',
    '"spacy.Tagger.v2"',
    "10" * 3000,
    "",
)
FORMATS = (
    b"",
    b"\0" * 4096,
    b"{}",
    b"[]",
    b"null",
    b"\x80",
    b"PK\x03\x04" + b"\0" * 100,
    b"\x89PNG\r\n\x1a\n",
    b"\xdd\x7f\xff\xff\xff" * 100,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    "\ufeff{}".encode("utf-16"),
    b"\xff" * 1000,
)


def damage_bytes(data: bytes, random: Random) -> bytes:
    """Cut off, changed, filled up or replaced."""
    place = random.randrange(len(data) + 1)
    kind = random.randrange(7)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return random.choice(FORMATS)
    if kind == 2:
        return data[:place] + random.randbytes(random.choice([1, 8, 300])) + data[place:]
    if kind == 3:
        return data[:place] + data[place + random.choice([1, 4, 1000]) :]
    if kind == 4:
        return data + random.choice([b"\0", data])
    changed = bytearray(data)
    # The beginning is where lengths and types stand.
    most = min(len(data), 200) if random.random() < 0.5 else len(data)
    for _ in range(random.choice([1, 1, 3, 30]) if most else 0):
        changed[random.randrange(most)] = random.choice(
            [0, 1, 127, 128, 255, random.randrange(256)]
        )
    return bytes(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in nested lists and tables, as its holder and its key."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(inside):
        yield value, key
        if isinstance(part, dict | list) and len(part) < 2_000:
            yield from _places(part)


def damage_value(value: Any, random: Random, change: Callable[[Any], Any] | None = None) -> str:
    """Change one place of nested values; returns what was done.

    Args:
        value: Lists and tables, changed in place.
        random: Where chance comes from.
        change: What is done to a value that is text or bytes, sometimes.
    """
    holder, key = random.choice(list(_places(value)))
    old = holder[key]
    if change and isinstance(old, str | bytes) and random.random() < 0.7:
        holder[key] = change(old)
        return f"inside of {key!r}"
    if random.random() < 0.2:
        del holder[key]
        return f"no {key!r}"
    if isinstance(holder, dict) and random.random() < 0.1:
        holder[random.choice(["x", "", "字", "../x"])] = holder.pop(key)
        return f"{key!r} renamed"
    holder[key] = random.choice(ODD_VALUES)
    return f"{key!r} = {str(holder[key])[:30]!r}"


def damage_json(text: str, random: Random) -> str:
    """A text of JSON with one value changed, or its bytes."""
    if random.random() < 0.2:
        return damage_bytes(text.encode(), random).decode("utf-8", "surrogateescape")
    content = json.loads(text)
    if not content:
        return random.choice(["null", "[1]", '{"a": "b"}'])
    if isinstance(content, dict):
        # Vocabularies are long: most places would be in them.
        small = [key for key, part in content.items() if key != "vocab"]
        part = content[random.choice(small)] if small and random.random() < 0.6 else content
        damage_value(part if isinstance(part, dict | list) and part else content, random)
    else:
        damage_value(content, random)
    return json.dumps(content, default=lambda value: value.decode("latin-1"))


def damage_message(data: bytes, random: Random) -> bytes:
    """The ``model`` of a component with one value changed, also deep inside its backbone."""
    try:
        content = srsly.msgpack_loads(data)
    except ValueError:
        return damage_bytes(data, random)

    def inside(value: str | bytes) -> str | bytes:
        if isinstance(value, str):
            return damage_json(value, random) if value[:1] == "{" else value + "x"
        if value[:1] in (b"\x82", b"\x83", b"\x84"):
            return damage_message(value, random)
        return damage_bytes(value, random)

    damage_value(content, random, inside)
    try:
        return srsly.msgpack_dumps(content)
    except (TypeError, ValueError, OverflowError):  # a number or a text that msgpack has not
        return damage_bytes(data, random)


def damage_config(text: str, random: Random) -> str:
    """A ``config.cfg`` with lines changed, moved or gone."""
    lines = text.split("\n")
    place = random.randrange(len(lines))
    kind = random.randrange(4)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, random.choice(["[x]", "[x.y]", "a = ${x.y}", "=", "[", "\0"]))
    else:
        values = [i for i, line in enumerate(lines) if "=" in line]
        place = random.choice(values)
        lines[place] = f"{lines[place].split('=')[0]}= {random.choice(ODD_LINES)}"
    return "\n".join(lines)


def damage_file(path: Path, random: Random) -> str:
    """Damage a file in one way or another; returns what was done."""
    if random.random() < 0.08:
        path.unlink()
        if random.random() < 0.5:
            path.mkdir()
            return "a folder in its place"
        return "missing"
    data = path.read_bytes()
    if random.random() < 0.35:
        path.write_bytes(damage_bytes(data, random))
        return "bytes"
    if path.name == "model":
        path.write_bytes(damage_message(data, random))
    elif path.suffix == ".json" or path.name == "cfg":
        path.write_bytes(damage_json(data.decode(), random).encode("utf-8", "surrogateescape"))
    elif path.name == "config.cfg":
        path.write_bytes(damage_config(data.decode(), random).encode())
    elif path.suffix == ".safetensors":
        size = int.from_bytes(data[:8], "little")
        header = damage_json(data[8 : 8 + size].decode(), random)
        head = header.encode("utf-8", "surrogateescape")
        path.write_bytes(len(head).to_bytes(8, "little") + head + data[8 + size :])
    else:
        path.write_bytes(damage_bytes(data, random))
    return "values"


def damaged_copy(source: Path, target: Path, random: Random) -> str:
    """Copy a folder and damage one of its files; returns which one, and how."""
    shutil.copytree(source, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    # What is ours is looked at more often than what is spaCy's.
    ours = [path for path in files if path.parent.name != "vocab"]
    chosen = random.choice(ours if random.random() < 0.9 else files)
    return f"{source.name}/{chosen.relative_to(target)}: {damage_file(chosen, random)}"
