"""What `index` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError


@dataclass(frozen=True)
class Options:
    """How an index is made or changed; see `index`.

    Attributes:
        add: Labelled texts to take in: a .spacy file, a folder of them, or JSON lines with "text"
            and "label".
        forget: Texts to take out: a file with one a line, or JSON lines with "text".
        dev: Converted texts that the pipeline hasn't learnt from, to find what weight neighbours
            should have.
        most: Take so many of the texts at most, drawn by chance; 0 takes all.

    Raises:
        BertZhError: Nothing is asked for, or a number is out of range.
    """

    add: Path | None = None
    forget: Path | None = None
    dev: Path | None = None
    most: int = 0

    def __post_init__(self) -> None:
        if self.add is None and self.forget is None and self.dev is None:
            raise BertZhError("Nothing to do: give --add, --forget or --dev")
        if self.most < 0:
            raise BertZhError(f"--most {self.most} must be 0 or more")
