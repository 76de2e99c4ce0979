"""What stands in a label's place, of any kind, as the names of labels."""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

NO_LABEL = "no label"
UNREADABLE = "label that can't be read"

# What pandas, databases and JavaScript write for "nothing here", in any case ...
_NOTHING = {"nan", "-nan", "null", "<na>", "n/a", "#n/a", "#n/a n/a", "#na", "\\n"}
_NOTHING |= {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
# ... and what spreadsheets show where a formula has no value.
_NOTHING |= {"#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#spill!", "#calc!"}
_NOTHING |= {"#field!", "#getting_data", "#error!"}
# Only as Python and pandas write them: NONE and none are classes of stance corpora.
_NOTHING_AS_WRITTEN = {"None", "NaT", "NA"}
# Above it a float no longer tells whole numbers apart.
_EXACT = 2.0**53
# Characters of a list or object written out as text.
_LONGEST = 100_000
_STRING = r"""(?:'[^']*'|"[^"]*")"""
_NUMBER = r"-?\d+\.?\d*"
# An array of numpy, as pandas writes it into a CSV: no commas.
_ARRAY = re.compile(rf"\[\s*(?:{_STRING}(?:\s+{_STRING})+|{_NUMBER}(?:\s+{_NUMBER})+)\s*\]")
_ELEMENT = re.compile(f"{_STRING}|{_NUMBER}")
_BEGUN = ("['", '["', "{'", '{"')
# What an input method for Chinese types in place of a separator, and the other way round.
_TWINS = {",": "，、", ";": "；", "|": "｜", "，": ",、", "；": ";", "｜": "|", "、": "，,"}
TWIN = "labels between a sign of another width than --label-separator, read as separated"
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
# The keys that hold the label itself in an object: Label Studio's, Argilla's, and common ones.
_HOLDERS = ("choices", "value", "label", "labels", "name", "category")
# What says yes or no in a column of a label, in lower case.
_YES = {"1", "1.0", "true", "yes", "y", "是", "√", "✓", "✔"}
_NO = {"0", "0.0", "false", "no", "n", "否"}
# With one of these an object speaks of a part of the text, or is a guess.
_FOREIGN = ("start", "end", "start_offset", "end_offset", "score", "user_id")


def is_missing(label: str) -> bool:
    """Whether a cleaned label is what programs write where there is no value."""
    return label in _NOTHING_AS_WRITTEN or label.lower() in _NOTHING


class NotALabelError(Exception):
    """A value that gives no label.

    Args:
        reason: As in `Reject`.
        detail: What is particular to this value.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def label_names(value: Any, separator: str | None = None) -> tuple[str, ...]:
    """Tell the labels of a row from the value in its label's place.

    Args:
        value: A text, number or truth value; or a list, an object with "choices", or an object of
            scores 0 and 1 (spaCy's cats), also written out as text.
        separator: What stands between the labels in a text; ， and 、 count like a comma.

    Returns:
        Their names, sorted, none of them twice; of an empty list, or scores of 0, none at all.

    Raises:
        NotALabelError: There is no label, or it can't be told.
    """
    if isinstance(value, str):
        container = _written_out(value.strip())
        if container is None:
            return _distinct(_split(value, separator) if separator else [value])
        value = container
    if isinstance(value, Mapping):
        return _of_object(value)
    if isinstance(value, list | tuple | set):
        return _of_list(list(value))
    return (_scalar(value),)


def has_twin(value: Any, separator: str | None) -> bool:
    """Whether a text has another separator in it than the one of `label_names`, which counts."""
    if not isinstance(value, str) or not any(
        sign in value for sign in _TWINS.get(separator or "", "")
    ):
        return False
    return _written_out(value.strip()) is None


def _split(text: str, separator: str) -> list[str]:
    for twin in _TWINS.get(separator, ""):
        text = text.replace(twin, separator)
    return text.split(separator)


def is_true(value: Any) -> bool | None:
    """Whether a value says yes (1, true, 是, √ …) or no (0, false, 否 …); None if it is missing.

    Raises:
        ValueError: It says neither.
    """
    text = "" if value is None else str(value).strip()
    if not text or is_missing(text):
        return None
    text = text.lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise ValueError(text)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise NotALabelError(NO_LABEL)
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value == value.to_integral() else float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotALabelError(NO_LABEL, f"but {value}")
        # pandas makes floats of whole numbers as soon as one is missing.
        if abs(value) < _EXACT and value == int(value):
            return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise NotALabelError(UNREADABLE, f"a {type(value).__name__}")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    found = {name.strip() for name in names} - {""}
    if not found:
        raise NotALabelError(NO_LABEL)
    return tuple(sorted(found))


def _of_list(items: list[Any]) -> tuple[str, ...]:
    names: list[str] = []
    for item in items:
        if isinstance(item, Mapping):
            names += _of_object(item)
        elif isinstance(item, list | tuple | set):
            raise NotALabelError(UNREADABLE, f"a list in a list: {item}")
        else:
            names.append(_scalar(item))
    if len(names) > len(set(names)) and set(names) <= {"0", "1"}:
        raise NotALabelError(UNREADABLE, f"a vector of 0 and 1 doesn't name them: {items}")
    return _distinct(names) if names else ()


def _of_object(value: Mapping[str, Any]) -> tuple[str, ...]:
    if not value:
        raise NotALabelError(NO_LABEL, "but an empty object")
    if not any(key in value for key in _FOREIGN):
        for key in _HOLDERS:
            if isinstance(value.get(key), str | list) or value.keys() == {key}:
                return label_names(value[key])
        if all(isinstance(score, bool | int | float) for score in value.values()):
            return _of_scores(value)
    raise NotALabelError(UNREADABLE, f"an object with {', '.join(map(str, value))}")


def _of_scores(scores: Mapping[str, float]) -> tuple[str, ...]:
    for name, score in scores.items():
        if score not in (0, 1):
            detail = f"{score} for {name}: neither 0 nor 1"
            raise NotALabelError(NO_LABEL if math.isnan(score) else UNREADABLE, detail)
    chosen = [name for name, score in scores.items() if score]
    return _distinct(chosen) if chosen else ()


def _written_out(text: str) -> Any:
    """The list, tuple, set or object that a text is, or None for an ordinary text."""
    if not text or _BRACKETS.get(text[0]) != text[-1]:
        if text.startswith(_BEGUN):
            raise NotALabelError(UNREADABLE, f"a list that is cut off: {text}")
        return None
    if len(text) > _LONGEST:
        raise NotALabelError(UNREADABLE, f"a list of {len(text):,} characters")
    if _ARRAY.fullmatch(text):
        return [_element(part) for part in _ELEMENT.findall(text[1:-1])]
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        # "('a')" is a text in brackets.
        return parsed if isinstance(parsed, list | tuple | set | dict) else None
    # [体育] is a name in brackets; [体育, 财经] could be one or two.
    if text[0] == "(" or not any(mark in text for mark in "'\",:"):
        return None
    raise NotALabelError(UNREADABLE, f"a list or object in no known notation: {text}")


def _element(part: str) -> str | float:
    return part[1:-1] if part[0] in "'\"" else float(part)
