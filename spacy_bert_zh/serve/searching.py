"""Search over HTTP: what is asked, and the reply."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from spacy_bert_zh.retrieve import By, Found, Retriever
from spacy_bert_zh.serve.schemas import SearchFolder, Text, whole

MOST = 100
"""Entries of a reply."""


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("there is nothing to search for")
    return text


class SearchQuestion(BaseModel):
    """What to search for, and how much to tell."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[Text, AfterValidator(_not_empty)] = Field(
        description="The question, or what is searched for.", json_schema_extra={"pattern": r"\S"}
    )
    folder: str | None = Field(None, description="Where; else the first.")
    top_k: Annotated[int, Field(ge=1, le=MOST), BeforeValidator(whole)] = Field(
        5, description="At most so many entries."
    )
    by: By | None = Field(
        None,
        description="`words`, `vectors` or `both`; else both where there are vectors. There is a "
        "confidence only for the ranking that it was learnt for.",
    )


class SearchHit(BaseModel):
    """An entry that was found."""

    text: str
    answer: str = Field(description="What belongs to it; empty for none.")
    source: str = Field(description="Where it comes from, such as `faq.csv:12`.")
    score: float = Field(
        description="By which hits are ranked: BM25, a cosine, or a sum of reciprocal ranks."
    )
    words: float | None = Field(description="Its BM25; null where it shares no word.")
    cosine: float | None = Field(description="Null where its vector isn't among the nearest.")


class SearchReply(BaseModel):
    """What was found, the best first."""

    folder: str
    hits: list[SearchHit]
    confidence: float | None = Field(
        description="The probability that the first hit is right; null where nobody looked at how "
        "often that is so."
    )
    known: bool | None = Field(
        description="Whether that is enough for an answer; false says that it is none of these."
    )


def describe_folder(name: str, retriever: Retriever, max_length: int) -> SearchFolder:
    """What a client should know of a folder."""
    return SearchFolder(
        name=name,
        entries=len(retriever.entries),
        by=list(retriever.modes),
        refuses=retriever.refusal is not None,
        max_length=max_length,
    )


def make_reply(found: Found, name: str) -> bytes:
    """The reply to a search."""
    hits = [
        SearchHit(
            text=hit.entry.text,
            answer=hit.entry.answer,
            source=hit.entry.source,
            score=hit.score,
            words=hit.words,
            cosine=hit.cosine,
        )
        for hit in found.hits
    ]
    known, confidence = found.known, found.confidence
    reply = SearchReply(folder=name, hits=hits, confidence=confidence, known=known)
    return reply.model_dump_json().encode()
