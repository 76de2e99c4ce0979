"""What `retrieve build` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError

LONGEST = 10_000
"""Characters of a question: a longer one is a mistake."""


@dataclass(frozen=True)
class Options:
    """How a table becomes searchable; see `build`.

    Attributes:
        text_column: Column of what is searched, such as a question; else detected.
        answer_column: Column of the answers, which come back with what is found.
        wordings_column: Column of further wordings of a text: a list, or between bars.
        questions: A table of questions, by which it is found out when none of the answers is
            right; its columns are text_column and expected_column.
        expected_column: There, the text or the answer that should be found; empty for none.
        right: The share of the answers given that shall be right.

    Raises:
        BertZhError: A number is out of range.
    """

    text_column: str = ""
    answer_column: str = ""
    wordings_column: str = ""
    questions: Path | None = None
    expected_column: str = "expected"
    right: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.right < 1:
            raise BertZhError(f"--right {self.right:g} must be between 0 and 1")
