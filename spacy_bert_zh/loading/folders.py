"""The folder of a pipeline, looked through before spaCy reads it."""

from pathlib import Path
from typing import Annotated, Any

import srsly
from pydantic import ConfigDict, Field, StringConstraints
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import (
    Strict,
    check_msgpack_file,
    checked,
    one_line,
    read_json,
    read_text,
    shorten_text,
)

MOST_CONFIG = 4_000_000
"""Bytes of a config.cfg; one with weights for ten thousand labels has a tenth of it."""
MOST_STRINGS = 64_000_000
"""Bytes of what spaCy keeps as JSON, such as the strings of its vocabulary."""


def check_folder(folder: Path) -> None:
    """Look through a pipeline's files before spaCy reads them: whole, and of bounded size.

    Raises:
        BertZhError: One is missing or damaged; it is named.
    """
    if not folder.is_dir():
        raise BertZhError(f"{folder} is no folder: give that of a trained pipeline")
    for name in ("config.cfg", "meta.json"):
        if not (folder / name).exists():
            raise BertZhError(
                f"{folder} is no pipeline: it lacks {name}; give the folder of a trained one, "
                "such as training/model-best"
            )
    read_config(folder)
    read_meta(folder)
    for path in (*folder.glob("vocab/*.json"), *folder.glob("*/cfg")):
        try:
            srsly.json_loads(read_text(path, MOST_STRINGS))
        except ValueError as error:
            raise BertZhError(f"{path} is not valid JSON: {one_line(error)}") from error
    for path in (*folder.glob("vocab/lookups.bin"), *folder.glob("*/model")):
        check_msgpack_file(path)


def read_config(folder: Path) -> Config:
    """A pipeline's ``config.cfg``, not interpolated.

    Raises:
        BertZhError: It can't be read, or names what isn't there.
    """
    path = folder / "config.cfg"
    text = read_text(path, MOST_CONFIG)
    try:
        config = Config().from_str(text, interpolate=False)
        components = config.interpolate().get("components", {})
    except Exception as error:  # confection has no error class for all that it meets
        raise BertZhError(f"{path} can't be read: {one_line(error)}") from error
    for name, component in components.items():
        if not isinstance(component, dict) or not isinstance(component.get("factory", ""), str):
            raise BertZhError(f"{path}: [components.{shorten_text(name)}] is no component")
    return config


class _Meta(Strict):
    """What is read of a ``meta.json``."""

    model_config = ConfigDict(extra="allow")

    # A package's name, and so that of files, begins with it.
    lang: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=30)]
    name: str = ""
    version: str = ""
    spacy_version: str = ""
    description: str | None = ""
    author: str | None = ""
    email: str | None = ""
    url: str | None = ""
    license: str | None = ""
    requirements: list[str] = Field(default=[])
    labels: dict[str, list[Any]] = Field(default={})


def read_meta(folder: Path) -> dict[str, Any]:
    """A pipeline's ``meta.json``, with nothing in place of texts and lists that it lacks.

    Raises:
        BertZhError: It can't be read, or a value can't be right.
    """
    path = folder / "meta.json"
    return checked(_Meta, read_json(path), path).model_dump()
