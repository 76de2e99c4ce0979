"""What others may have written: read within bounds, and checked before anything is built of it.

Sizes are bounded before a file is read, nesting and the number of values before they become
objects. Whatever is wrong is one line that says where.
"""

import json
import reprlib
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from spacy_bert_zh.errors import BertZhError

MOST_JSON = 32_000_000
"""Bytes of a JSON file; the vocabularies of the largest encoders take half of it."""
MOST_VALUES = 1_000_000
"""Values of a msgpack message; a trained classifier has some hundreds, and long bytes."""
MOST_NESTING = 32


class Strict(BaseModel):
    """Values of exactly these types: no number in a string, no truth value as a number."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Closed(Strict):
    """And of no other names."""

    model_config = ConfigDict(extra="forbid")


Schema = TypeVar("Schema", bound=BaseModel)


def checked(schema: type[Schema], values: Any, where: Path | str) -> Schema:
    """Values as a schema has them.

    Args:
        schema: What must be there.
        values: What is.
        where: Of which file or part the error shall speak.

    Raises:
        BertZhError: A value is missing, or of another type or size.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
    if missing := sorted(_path(e["loc"]) for e in found if e["type"] == "missing"):
        raise BertZhError(f"{where} lacks {', '.join(missing[:10])}")
    first = found[0]
    what = f"{_path(first['loc'])} = {shorten(first['input'])}, but " if first["loc"] else ""
    why = one_line(first["msg"]).removeprefix("Value error, ").replace("Input", "it", 1)
    raise BertZhError(f"{where}: {what}{why}")


def _path(place: tuple[int | str, ...]) -> str:
    return shorten_text(".".join(map(str, place)))


def shorten(value: Any) -> str:
    """A value in a few words, however large it is."""
    try:
        return shorten_text(reprlib.repr(value))
    except ValueError:  # a number of thousands of digits
        return "a huge number"


def shorten_text(text: str, most: int = 100) -> str:
    """The beginning of a text."""
    return text if len(text) <= most else f"{text[:most]}…"


def one_line(error: object) -> str:
    """What an error of another library says, in one line of bounded length."""
    said = shorten_text(" ".join(str(error).split()), 400)
    return said or type(error).__name__


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Read a file whole.

    Args:
        path: A regular file, or a link to one.
        most: Bytes at most; None takes any number.

    Raises:
        BertZhError: It is missing, no regular file, too large or not readable.
    """
    try:
        if not path.is_file():
            raise BertZhError(f"{path} is {'no file' if path.exists() else 'missing'}")
        if most is not None and (size := path.stat().st_size) > most:
            raise BertZhError(f"{path} has {size:,} bytes, more than {most:,}: it can't be right")
        return path.read_bytes()
    except OSError as error:
        raise BertZhError(f"{path} can't be read: {error.strerror or error}") from error


def read_text(path: Path, most: int = MOST_JSON) -> str:
    """Read a text in UTF-8, without its byte order mark; see `read_bytes`.

    Raises:
        BertZhError: It isn't UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BertZhError(f"{path} is not UTF-8: {error}") from error


def read_json(path: Path, most: int = MOST_JSON) -> dict[str, Any]:
    """Read a JSON object; see `read_bytes`.

    Raises:
        BertZhError: The file holds something else.
    """
    return parse_json(read_text(path, most), path)


def parse_json(text: str, where: Path | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BertZhError: The text is something else.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BertZhError(f"{where} is not valid JSON: {one_line(error)}") from error
    except RecursionError as error:
        raise BertZhError(f"{where} is nested too deeply") from error
    if not isinstance(content, dict):
        raise BertZhError(f"{where} is not a JSON object")
    return content


# The first bytes of a msgpack value: what follows is a length of so many bytes …
_STRINGS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_LISTS, _TABLES = {0xDC: 2, 0xDD: 4}, {0xDE: 2, 0xDF: 4}
# … or a value of so many bytes.
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8}
_FIXED |= {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}


def check_msgpack(data: bytes | mmap, where: Path | str) -> None:
    """Refuse a message that would take far more memory than it has bytes.

    Walks over the heads of its values without making any of them.

    Raises:
        BertZhError: It is cut off, nested too deeply, or of too many values.
    """
    place, values, open_lists = 0, 0, [1]
    while open_lists:
        if open_lists[-1] == 0:
            open_lists.pop()
            continue
        open_lists[-1] -= 1
        values += 1
        if place >= len(data):
            raise BertZhError(f"{where} is cut off, or empty")
        size, inside = _head(data, place, where)
        place += size
        if inside:
            open_lists.append(inside)
        if values + sum(open_lists) > MOST_VALUES or len(open_lists) > MOST_NESTING:
            raise BertZhError(f"{where} is damaged: its values are too many or nested too deeply")
    if place != len(data):
        raise BertZhError(f"{where} is cut off, or has bytes too many")


def check_msgpack_file(path: Path) -> None:
    """The same for a file, of which only the heads are read.

    Raises:
        BertZhError: See `check_msgpack` and `read_bytes`.
    """
    try:
        if not path.is_file():
            raise BertZhError(f"{path} is {'no file' if path.exists() else 'missing'}")
        if not path.stat().st_size:
            raise BertZhError(f"{path} is empty")
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            check_msgpack(data, path)
    except OSError as error:
        raise BertZhError(f"{path} can't be read: {error.strerror or error}") from error


def _head(data: bytes | mmap, place: int, where: Path | str) -> tuple[int, int]:
    """Bytes of the value there, without the values inside it, and how many these are."""
    first = data[place]
    if first < 0x80 or first >= 0xE0:  # a small number
        return 1, 0
    if first < 0x90:
        return 1, 2 * (first & 15)
    if first < 0xA0:
        return 1, first & 15
    if first < 0xC0:
        return 1 + (first & 31), 0
    if first in _FIXED:
        return 1 + _FIXED[first], 0
    for kind in (_STRINGS, _LISTS, _TABLES):
        if first in kind:
            width = kind[first]
            length = int.from_bytes(data[place + 1 : place + 1 + width], "big")
            if kind is _STRINGS:
                return 1 + width + length, 0
            return 1 + width, length * (2 if kind is _TABLES else 1)
    raise BertZhError(f"{where} is damaged: no message of this package")
