"""What a compressed pipeline may take: so many megabytes, or so much of the time."""

import re
from typing import NamedTuple

from spacy_bert_zh.errors import BertZhError

_GIVEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(MB|x)\s*", re.IGNORECASE)


class Budget(NamedTuple):
    """One of both; the other is None.

    Attributes:
        megabytes: Of the pipeline's files, compressed as in a wheel; of 1,000,000 bytes.
        times: Texts a second, in those of the pipeline as it was given.
    """

    megabytes: float | None
    times: float | None

    def met(self, megabytes: float, times: float) -> bool:
        """Whether a pipeline of this size and speed is within it."""
        if self.megabytes is not None:
            return megabytes <= self.megabytes
        return self.times is not None and times >= self.times


def parse_budget(text: str) -> Budget:
    """Read a budget.

    Raises:
        BertZhError: It is none.

    Examples:
        >>> parse_budget("4 MB")
        Budget(megabytes=4.0, times=None)
        >>> parse_budget("3x").met(megabytes=9.0, times=3.2)
        True
    """
    found = _GIVEN.fullmatch(text)
    if found is None or not float(found[1]):
        raise BertZhError(
            f'--budget "{text}": give a size such as "4 MB", or how many times as fast it should '
            'be, such as "3x"'
        )
    value = float(found[1])
    return Budget(value, None) if found[2].lower() == "mb" else Budget(None, value)
