"""Class weights as the setting takes them, in any form that a config.cfg can hold."""

import json
import math
from typing import Any, Literal

from thinc.api import Config

from spacy_bert_zh.errors import BertZhError

ClassWeights = Literal["balanced"] | dict[str, float] | None


def read_class_weights(value: Any) -> ClassWeights:
    """Read the setting: ``balanced``, a table of label and weight, that table as JSON, or None.

    Raises:
        BertZhError: It is something else, or a weight is no number from 0 up.

    Examples:
        >>> read_class_weights('{"neg": 2, "pos": 0.5}')
        {'neg': 2, 'pos': 0.5}
    """
    if value is None or value == "balanced":
        return value
    table = value
    if isinstance(value, str):
        try:
            table = json.loads(value)
        except ValueError:
            table = None
    if not isinstance(table, dict):
        raise BertZhError(
            f"class_weights = {value!r} must be 'balanced', null, a table of label = weight, or "
            "that table as JSON in a string"
        )
    for label, weight in table.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0.0 <= weight < math.inf:
            raise BertZhError(
                f"class_weights: {label} = {weight} must be a number from 0 up"
                + ("" if is_number else f" (a label with ':' or '=' in it: {_AS_JSON})")
            )
    return table


def check_writable(value: Any) -> None:
    """Refuse a table that would not come back from a config.cfg, where labels are keys.

    Raises:
        BertZhError: It holds such a label; it shows the form that can be written.
    """
    if isinstance(value, dict) and not _comes_back(value):
        raise BertZhError(
            "class_weights: a config.cfg can't hold this table, because of a sign in a label such "
            f"as ':', '=', '#' or a space at its end; {_AS_JSON}, here {as_json(value)!r}"
        )


def as_json(table: dict[str, float]) -> str:
    """The table in a string that survives a config.cfg whatever its labels are."""
    # A dollar would be read as the beginning of a variable.
    return json.dumps(table, ensure_ascii=False).replace("$", "\\u0024")


_AS_JSON = "give the table as JSON in a string"


def _comes_back(table: dict[str, Any]) -> bool:
    if any(label.startswith("@") for label in table):  # a registered function to spaCy
        return False
    try:
        written = Config({"section": {"class_weights": table}}).to_str()
        return bool(Config().from_str(written)["section"]["class_weights"] == table)
    except Exception:  # the parser raises anything
        return False
