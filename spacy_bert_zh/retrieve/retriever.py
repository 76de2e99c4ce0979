"""What searches: entries, their words, their vectors, and who makes vectors of questions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import find_vectors
from spacy_bert_zh.retrieve.lists import Lists
from spacy_bert_zh.retrieve.options import LONGEST
from spacy_bert_zh.retrieve.ranking import BY, DEPTH, By, Ranked, best_of_each, rank
from spacy_bert_zh.retrieve.refusal import Refusal
from spacy_bert_zh.retrieve.words import Scored, Words
from spacy_bert_zh.textcat.space import Space
from spacy_bert_zh.untrusted import Closed, shorten_text

_MORE = 4
"""So many times more texts than entries are looked at: several may belong to one entry."""


class Entry(Closed):
    """A row of the table.

    Attributes:
        text: What is searched, such as a question.
        answer: What belongs to it; empty for none.
        wordings: Further texts by which it is found.
        source: Where it comes from, such as ``faq.csv:12``.
    """

    text: str
    answer: str = ""
    wordings: list[str] = Field(default=[])
    source: str = ""

    @property
    def texts(self) -> list[str]:
        """All by which it is found."""
        return [self.text, *self.wordings]


@dataclass(frozen=True)
class Hit:
    """An entry that was found.

    Attributes:
        entry: The entry.
        score: By which hits are ranked: BM25, a cosine, or a sum of reciprocal ranks.
        words: Its BM25; None where it shares no word.
        cosine: Of its vector; None where it isn't among the nearest.
    """

    entry: Entry
    score: float
    words: float | None = None
    cosine: float | None = None


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: The best first.
        confidence: The probability that the first one is right; None where nobody has looked at
            how often that is so (``build`` with questions).
        known: Whether that is enough for an answer, or none of the hits should be given.
    """

    hits: list[Hit]
    confidence: float | None = None
    known: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        hits = [
            {**hit.entry.model_dump(), "score": hit.score, "words": hit.words, "cosine": hit.cosine}
            for hit in self.hits
        ]
        return {"known": self.known, "confidence": self.confidence, "hits": hits}


@dataclass(frozen=True)
class Encoder:
    """A pipeline, and its component whose backbone makes vectors."""

    nlp: Language
    pipe: Any

    def vectors(self, texts: Sequence[str]) -> Any:
        """Of texts; shape (texts, width)."""
        return find_vectors(self.nlp, self.pipe, texts)


@dataclass(frozen=True)
class Retriever:
    """Searches entries by words, by vectors, or by both.

    Attributes:
        entries: What can be found.
        words: Their words.
        space: Vectors of their texts; None for words alone.
        encoder: Who made them.
        refusal: When to say that none is right; None says nothing.
    """

    entries: list[Entry] = field(repr=False)
    words: Words = field(repr=False)
    space: Space | Lists | None = field(default=None, repr=False)
    encoder: Encoder | None = field(default=None, repr=False)
    refusal: Refusal | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `build` made.

        Args:
            folder: Its folder.

        Raises:
            BertZhError: It isn't one, or is damaged, or a package is missing.

        Examples:
            >>> from spacy_bert_zh.retrieve import Options, build
            >>> _ = build(Path("faq.csv"), Path("faq"), Options("question", "answer"))
            >>> Retriever.load("faq").search("退款要多久", top=1).hits[0].entry.answer
            '三天之内'
        """
        from spacy_bert_zh.retrieve.folder import read

        return cls(**read(Path(folder)))

    @property
    def modes(self) -> tuple[By, ...]:
        """By what it can rank."""
        return BY if self.space is not None else BY[:1]

    def search(self, text: str, top: int = 5, by: By | None = None) -> Found:
        """Find the entries that fit a text best.

        Args:
            text: A question, or what is searched for.
            top: How many entries at most.
            by: ``words``, ``vectors`` or ``both``; None takes both where there are vectors.

        Raises:
            BertZhError: The text is empty or far too long, or there are no vectors.
        """
        return self.search_all([text], top, by)[0]

    def search_all(self, texts: Sequence[str], top: int = 5, by: By | None = None) -> list[Found]:
        """The same for several texts at once; see `search`."""
        if not 1 <= top <= DEPTH:
            raise BertZhError(f"--top {top} must be between 1 and {DEPTH}")
        by = by or self.modes[-1]
        return [self.found(pair, top, by) for pair in self.lists(texts, by)]

    def rank(self, texts: Sequence[str], by: By) -> list[Ranked]:
        """Rank entries for texts, `DEPTH` at most for each; see `search`."""
        return [rank(*pair, by) for pair in self.lists(texts, by)]

    def lists(self, texts: Sequence[str], by: By) -> list[tuple[Scored, Scored]]:
        """Of each text the entries by words and those by vectors; none where `by` is the other."""
        if by not in self.modes:
            raise BertZhError(
                f"--by {by}: this folder was built without a pipeline and knows words alone: "
                "build it with --pipeline"
                if by in BY
                else f"--by {by} is unknown: choose one of {', '.join(BY)}"
            )
        for text in texts:
            check_question(text)
        none: list[Scored] = [[] for _ in texts]
        words = none if by == "vectors" else [self._by_words(text) for text in texts]
        vectors = none if by == "words" else self._by_vectors(texts)
        return list(zip(words, vectors, strict=True))

    def _by_words(self, text: str) -> Scored:
        found = self.words.find(text, DEPTH * _MORE)
        return best_of_each(found, self._owners)[:DEPTH]

    def _by_vectors(self, texts: Sequence[str]) -> list[Scored]:
        assert self.space is not None and self.encoder is not None
        if not texts:
            return []
        places, cosines = self.space.find(self.encoder.vectors(texts), DEPTH * _MORE)
        rows = zip(places.tolist(), cosines.tolist(), strict=True)
        return [best_of_each(zip(*row, strict=True), self._owners)[:DEPTH] for row in rows]

    def found(self, lists: tuple[Scored, Scored], top: int, by: By | None = None) -> Found:
        """What `search` says of a text whose entries `lists` has found, perhaps by more."""
        by = by or self.modes[-1]
        words, vectors = lists
        ranked = rank([] if by == "vectors" else words, [] if by == "words" else vectors, by)
        hits = [
            Hit(self.entries[place], score, ranked.words.get(place), ranked.vectors.get(place))
            for place, score in ranked.hits[:top]
        ]
        if self.refusal is None or self.refusal.by != by:
            return Found(hits)
        confidence = self.refusal.confidence(ranked)
        return Found(hits, confidence, confidence >= self.refusal.score)

    @cached_property
    def _owners(self) -> list[int]:
        """To which entry each text belongs."""
        return [place for place, entry in enumerate(self.entries) for _ in entry.texts]


def check_question(text: str) -> None:
    """Refuse what nobody can search for.

    Raises:
        BertZhError: It is empty or far too long.
    """
    if not text.strip():
        raise BertZhError("The question is empty: give a text to search for")
    if len(text) > LONGEST:
        raise BertZhError(
            f"The question has {len(text):,} characters ({shorten_text(text, 20)!r}), and "
            f"{LONGEST:,} is the most: give what is asked alone"
        )
