"""Explanations over HTTP: what is asked, and the reply."""

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field
from spacy.language import Language

from spacy_bert_zh.explain import Contrast, Explanation, Rating, contrast, explain, rate
from spacy_bert_zh.serve.schemas import Text


class WhyQuestion(BaseModel):
    """What to explain, and how much to tell."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Text = Field(description="The text.")
    pipeline: str | None = Field(None, description="Its name; else the first.")
    labels: list[Text] | None = Field(
        None,
        min_length=1,
        max_length=10,
        description="Labels to explain; else those that are given, or the best one.",
    )
    against: Text | None = Field(
        None, description="Explain why not this label: numbers are differences to it."
    )
    contrast: bool = Field(
        False, description="Also look for words without which the answer is another."
    )
    rating: bool = Field(False, description="Also rate how faithful the explanation is.")


class WhyReply(BaseModel):
    """An explanation of what a pipeline says about a text."""

    pipeline: str
    explanation: Explanation
    contrast: Contrast | None = Field(
        description="None where it wasn't asked for, or there are no few words."
    )
    rating: Rating | None = Field(
        description="None where it wasn't asked for, or the text has less than two words."
    )


def make_why(question: WhyQuestion, name: str, nlp: Language) -> bytes:
    """The reply to a request for an explanation, computed.

    Raises:
        BertZhError: The pipeline can't be explained.
    """
    (found,) = explain(nlp, [question.text], question.labels, against=question.against)
    # Training texts are nobody's business who may merely ask.
    found = replace(found, evidence=())
    reply = WhyReply(
        pipeline=name,
        explanation=found,
        contrast=contrast(nlp, found) if question.contrast else None,
        rating=rate(nlp, [found]) if question.rating else None,
    )
    return reply.model_dump_json().encode()
