"""How much of a text a pipeline reads, by its config."""

from typing import Any


def pieces_read(backbone: dict[str, Any]) -> int | None:
    """Word pieces of a text that a backbone reads, [CLS] and [SEP] not counted.

    Args:
        backbone: Its settings `max_length`, `stride` and `max_windows`.

    Returns:
        The number; None if it reads all of any text.
    """
    windows = backbone.get("max_windows", 0)
    if not windows:
        return None
    content = backbone["max_length"] - 2
    return content + (windows - 1) * (content - backbone["stride"])


def describe_reading(component: dict[str, Any]) -> str | None:
    """What of a text plays a part in the scores, in a sentence; None if the config can't tell.

    Args:
        component: A text classifier's section of the config, interpolated.
    """
    model = component.get("model", {})
    backbone = model.get("backbone", {})
    if not {"max_length", "stride"} <= backbone.keys():
        return None
    sentence = (
        f"The BERT reads {backbone['max_length']} word pieces at a time, a longer text in several "
        "windows"
    )
    if (most := pieces_read(backbone)) is None:
        return f"{sentence}, to its end."
    sentence += f", at most {backbone['max_windows']} of them: the first {most} pieces of a text."
    if "linear_model" in model:
        return (
            f"{sentence} What comes after plays a part as well, through the linear model of "
            "n-grams, which reads all of a text."
        )
    return f"{sentence} What comes after plays no part."
