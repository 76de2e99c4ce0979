"""Pipelines without a trace of the machine that trained them."""

import copy
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from thinc.api import Config

if TYPE_CHECKING:
    from spacy.language import Language

# spaCy's own optional inputs: null means "none given", and spaCy asks for them by name.
OPTIONAL = frozenset(
    [
        *(f"paths.{key}" for key in ("train", "dev", "raw_text", "vectors", "init_tok2vec")),
        *(f"initialize.{key}" for key in ("vectors", "init_tok2vec", "vocab_data")),
    ]
)


def build_portable_v1() -> "Callable[[Language], Language]":
    """The callback for ``[training.before_to_disk]`` (`spacy_bert_zh.portable.v1`)."""
    return portable


def portable(nlp: "Language") -> "Language":
    """A view of `nlp` that writes no absolute path to config.cfg and meta.json.

    The view shares vocabulary, tokenizer and components with `nlp`, so weights are not
    copied and a training that goes on keeps its own paths.
    """
    view = copy.copy(nlp)
    view.config = portable_config(nlp.config)
    # `view.config` rebuilds its [components] from these at every access.
    view._pipe_configs = {
        name: Config(config) for name, config in view._config["components"].items()
    }
    view.meta = portable_meta(nlp.meta)
    return view


def portable_config(config: Config) -> Config:
    """A copy of a pipeline's config without absolute paths; variables stay variables.

    An absolute path becomes its base name, which keeps a string where a component's
    signature demands one. spaCy's own optional inputs become null instead.
    """
    return Config(
        _portable(config),
        section_order=config.section_order,
        is_interpolated=config.is_interpolated,
    )


def portable_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """A copy of a pipeline's meta without absolute paths; labels are never paths."""
    return {key: value if key == "labels" else _portable(value) for key, value in meta.items()}


def _portable(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: _portable(item, f"{key}.{name}" if key else name) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_portable(item, key) for item in value]
    name = _base_name(value) if isinstance(value, str) else ""
    if not name:
        return value
    return None if key in OPTIONAL else name


def _base_name(value: str) -> str:
    """The base name of an absolute POSIX or Windows path or file URL, else nothing."""
    # A value with a ${variable} inside keeps its quotes in a config that isn't interpolated.
    path = value.strip('"').removeprefix("file://")
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
        return PureWindowsPath(path).name
    return ""
