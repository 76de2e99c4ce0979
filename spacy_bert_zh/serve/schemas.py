"""The JSON of requests and replies."""

import heapq
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from spacy.language import Language

from spacy_bert_zh.explain import can_explain
from spacy_bert_zh.loading import Answer, is_exclusive, textcats, thresholds_of
from spacy_bert_zh.retrieve import By


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is half of a surrogate pair") from None
    return text


def whole(value: object) -> object:
    """In JSON, 1.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, AfterValidator(_encodable)]
Count = Annotated[int, Field(ge=1), BeforeValidator(whole)]


_ONE_OF_THEM: dict[str, Any] = {
    "oneOf": [
        {"required": ["text"], "properties": {"text": {"type": "string"}}},
        {"required": ["texts"], "properties": {"texts": {"type": "array"}}},
    ]
}


class Question(BaseModel):
    """What to classify, and how much to tell."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_ONE_OF_THEM)

    text: Text | None = Field(None, description="One text; instead of `texts`.")
    texts: list[Text] | None = Field(None, description="Several texts.")
    pipeline: str | None = Field(None, description="Its name; else the first.")
    top_k: Count | None = Field(None, description="At most so many labels a text.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="Labels with lower scores are left out of `labels`."
    )
    explain: bool = Field(
        False,
        description="Also tell how much of each text was read, and what a calibrated pipeline "
        "decides.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either 'text' or 'texts'")
        return self

    def all_texts(self) -> list[str]:
        """The texts, also if there is one."""
        return [self.text] if self.text is not None else list(self.texts or [])

    def place(self, index: int) -> tuple[str | int, ...]:
        """Where in the JSON a text stands."""
        return ("text",) if self.text is not None else ("texts", index)


class Label(BaseModel):
    """A label and its score, from 0 to 1."""

    label: str
    score: float


class Result(BaseModel):
    """What a pipeline says about one text."""

    labels: list[Label] = Field(description="Labels and scores, the highest score first.")
    given: list[str] = Field(
        description="Labels that the pipeline gives to the text: the best of exclusive ones, or "
        "all that reach the pipeline's threshold, perhaps none; whatever the request leaves out."
    )
    pieces: int | None = Field(None, description="Word pieces of the text.")
    pieces_read: int | None = Field(None, description="Those that the network has seen.")
    windows: int | None = Field(None, description="Overlapping parts that it was read in.")
    decision: str | list[str] | None = Field(
        None,
        description="Of a calibrated pipeline: the label, or the labels where several can hold, "
        '"abstain" where it isn\'t sure, "unknown" where the text is unlike those it learnt from.',
    )
    why: str | None = Field(
        None, description='"sure", "unsure" or "unlike the training texts": what it decided by.'
    )
    unlike: float | None = Field(
        None, description="Share of usual texts that are more like the training texts."
    )
    set: list[str] | None = Field(None, description="Labels that it can't rule out, best first.")
    answered_by: str | None = Field(
        None, description="Of a pipeline with a cascade: `ngrams` alone, or also the `network`."
    )


class Reply(BaseModel):
    """A result for each text, in their order."""

    pipeline: str
    results: list[Result]


class Pipeline(BaseModel):
    """A pipeline that can be asked."""

    name: str
    labels: list[str] = Field(description="In the order of the pipeline.")
    exclusive: bool = Field(description="Whether one label is right and the scores add up to 1.")
    threshold: float | None = Field(
        description="The score from which on a label is given; of several, the highest."
    )
    thresholds: dict[str, float] | None = Field(
        description="The same for each label: `calibrate` may have found one of its own for each."
    )
    reads_rest: bool = Field(
        description="Whether what lies beyond the windows of a long text counts as well: the "
        "n-grams of an ensemble are those of the whole text."
    )
    explains: bool = Field(description="Whether it can be asked why.")


class Bounds(BaseModel):
    """What a request must keep within."""

    max_texts: int = Field(description="Texts of a request.")
    max_length: int = Field(description="Characters of a text.")
    max_body: int = Field(description="Bytes of a body.")
    max_scores: int = Field(
        description="Scores of an answer to several texts: texts times labels, or `top_k`."
    )
    max_explained: int = Field(description="Characters of a text that is explained.")


class SearchFolder(BaseModel):
    """A folder that can be searched."""

    name: str
    entries: int
    by: list[By] = Field(description="By what it ranks; the last one is the default.")
    refuses: bool = Field(description="Whether it says when none of the hits is right.")
    max_length: int = Field(description="Characters of a question.")


class Catalogue(BaseModel):
    """The pipelines and the folders to search, the default ones first."""

    pipelines: list[Pipeline]
    folders: list[SearchFolder]
    limits: Bounds


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str


class Fault(BaseModel):
    """What is wrong at one place of a request."""

    type: str
    loc: list[str | int] = Field(description="Where: `body`, then names and numbers.")
    msg: str


class Faults(BaseModel):
    """What is wrong with a request: the first ten faults."""

    detail: list[Fault]


def labels_of(nlp: Language) -> list[str]:
    """The labels of all text classifiers, in the order of the pipeline."""
    return list(dict.fromkeys(label for pipe in textcats(nlp) for label in pipe.labels))


def describe(name: str, nlp: Language) -> Pipeline:
    """What a client should know of a pipeline.

    The labels of several text classifiers in one pipeline don't exclude each other.
    """
    pipes = textcats(nlp)
    several = [pipe for pipe in pipes if not is_exclusive(pipe)]
    thresholds: dict[str, float] = {}
    for label, least in (pair for pipe in several for pair in thresholds_of(pipe).items()):
        thresholds[label] = max(least, thresholds.get(label, 0.0))
    return Pipeline(
        name=name,
        labels=labels_of(nlp),
        exclusive=len(pipes) == 1 and not several,
        threshold=max(thresholds.values(), default=None),
        thresholds=thresholds or None,
        reads_rest=any(pipe.model.name == "bert_textcat_ensemble" for pipe in pipes),
        explains=can_explain(nlp),
    )


def make_result(question: Question, answer: Answer) -> Result:
    """As much of an answer as was asked for."""
    scores = answer.scores.items()
    best = heapq.nlargest(question.top_k or len(scores), scores, key=lambda item: item[1])
    labels = [
        Label(label=label, score=score)
        for label, score in best
        if score >= (question.threshold or 0)
    ]
    more = {**(answer.reading or {}), **(answer.decision or {})} if question.explain else {}
    return Result(labels=labels, given=answer.labels, **more)
