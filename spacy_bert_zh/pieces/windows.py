"""How much of a text a pipeline reads, by its config."""

import math
from pathlib import Path
from typing import Any

import spacy
from spacy import util

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.encoder import MAX_WINDOWS, shared_pieces


def sections_of(backbone: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each engine in a backbone's section, by where they stand in it.

    Of a committee ".*.0", ".*.1" and so on, else the section itself, by "".
    """
    members = backbone.get("*")
    if not isinstance(members, dict):
        return {"": backbone}
    return {f".*.{name}": member for name, member in members.items()}


def find_backbone(config: Path | None) -> dict[str, Any]:
    """The settings of the backbone that a config trains; nothing if it has none of ours.

    Of a committee those of the one that reads farthest.

    Args:
        config: The config's file; None takes what `nlp.add_pipe("bert_textcat")` makes.

    Raises:
        BertZhError: It can't be read.
    """
    if config is None:
        default = spacy.blank("zh").get_factory_meta("bert_textcat").default_config or {}
        return dict(default["model"]["backbone"])
    try:
        components = util.load_config(config, interpolate=True)["components"]
        sections = [part.get("model", {}).get("backbone", {}) for part in components.values()]
        found = list(filter(None, map(_farthest, sections)))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BertZhError(
            f"--config {config} can't be read as a config of spaCy: "
            f"{' '.join(str(error).split()) or 'no such file'}"
        ) from error
    return dict(found[0]) if found else {}


def pieces_read(backbone: dict[str, Any]) -> int | None:
    """Word pieces of a text that a backbone reads, [CLS] and [SEP] not counted.

    Args:
        backbone: Its settings `max_length`, `stride` and `max_windows`; where the last two aren't
            given, they are those of our backbones.

    Returns:
        The number, with those of a prefix; None if it reads all of any text.
    """
    if not _is_whole(backbone) or not (windows := backbone.get("max_windows", MAX_WINDOWS)):
        return None
    content = backbone["max_length"] - 2
    stride = shared_pieces(backbone["max_length"], backbone.get("stride"))
    return content + (windows - 1) * (content - stride)


def _farthest(section: Any) -> dict[str, Any] | None:
    """The settings of the engine that reads most of a text, if a backbone's section has any."""
    sections = sections_of(section).values() if isinstance(section, dict) else ()
    found = [one for one in sections if _is_whole(one)]
    return max(found, key=lambda one: pieces_read(one) or math.inf, default=None)


def _is_whole(backbone: Any) -> bool:
    """Whether the settings are there, and numbers; an engine says what is wrong with others."""
    if not isinstance(backbone, dict):
        return False
    numbers = [backbone.get("max_length"), backbone.get("max_windows", MAX_WINDOWS)]
    stride = backbone.get("stride")
    return all(type(number) is int for number in numbers) and type(stride) in (int, type(None))


def describe_reading(component: dict[str, Any]) -> str | None:
    """What of a text plays a part in the scores, in a sentence; None if the config can't tell.

    Args:
        component: A text classifier's section of the config, interpolated.
    """
    model = component.get("model")
    backbone = _farthest(model.get("backbone")) if isinstance(model, dict) else None
    if not isinstance(model, dict) or backbone is None:
        return None
    prefix = backbone.get("prefix")
    among = f" (with {prefix!r} in front of each window)" if prefix else ""
    sentence = (
        f"The BERT reads {backbone['max_length']} word pieces at a time{among}, a longer text in "
        "several windows"
    )
    if (most := pieces_read(backbone)) is None:
        return f"{sentence}, to its end."
    windows = backbone.get("max_windows", MAX_WINDOWS)
    sentence += f", at most {windows} of them: the first {most} pieces of a text."
    if "linear_model" in model:
        return (
            f"{sentence} What comes after plays a part as well, through the linear model of "
            "n-grams, which reads all of a text."
        )
    return f"{sentence} What comes after plays no part."
