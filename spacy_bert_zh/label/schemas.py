"""The JSON of the labelling page's requests and replies."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from spacy_bert_zh.serve.schemas import Text


def _name(name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable():
        raise ValueError("a name has letters, and nothing that can't be seen")
    return name


Name = Annotated[Text, Field(max_length=100), AfterValidator(_name)]


class Who(BaseModel):
    """An annotator, in a window of a browser."""

    model_config = ConfigDict(extra="forbid", strict=True)

    annotator: Name
    session: str = Field(min_length=8, max_length=100, description="The window's own.")


class Opening(Who):
    """Begin to label, or go on."""

    take_over: bool = Field(False, description="From another window under this name.")


class Answering(Who):
    """An answer to a text, or its end."""

    place: int
    labels: list[Text] | None = Field(description="None skips the text.")


class Undoing(Who):
    """Take an answer back."""

    place: int


class Task(BaseModel):
    """A text to be labelled, and how far the annotator is.

    Attributes:
        place: Of the text in the pool; None if there is none left.
        guess: Labels that the pipeline gives; None where it isn't asked.
        scores: What the pipeline says of each label, the best first.
        given: What was answered before it was taken back; None if nothing was.
        done: Texts of `total` that were answered, with those that were `skipped`.
        last: Place of the text that was answered last.
    """

    place: int | None
    text: str
    guess: list[str] | None
    scores: list[tuple[str, float]] | None
    given: list[str] | None
    done: int
    skipped: int
    total: int
    last: int | None


class Opened(BaseModel):
    """What an annotator needs to know once."""

    labels: list[str]
    exclusive: bool
    guideline: str = Field(description="As HTML, without any that the Markdown held.")
    task: Task


Agreement = dict[str, Any]
