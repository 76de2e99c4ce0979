"""Who labels what next: the queue of each annotator, and what may be done in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spacy_bert_zh.label.pool import Item, Labels
from spacy_bert_zh.label.store import Answer, Store, now
from spacy_bert_zh.loading import Answer as Guess

Judge = Callable[[str], Guess | None]


class Taken(Exception):
    """Another session labels under this name."""


class Refused(Exception):
    """What was asked for can't be done; the message says why."""


@dataclass(frozen=True)
class Progress:
    """Where an annotator is.

    Attributes:
        place: In the pool, of the text to be labelled next; None if there is none left.
        done: Texts of the pool that were answered.
        skipped: Those among them that were skipped.
        last: Place of the text that was answered last; None if none was.
    """

    place: int | None
    done: int
    skipped: int
    last: int | None


@dataclass
class Desk:
    """A pool in the hands of its annotators.

    Each annotator gets the whole pool in its order. Under one name, one session labels at a time:
    another one must say that it takes over, and the first is told so at its next answer.

    Attributes:
        items: The pool; an item's place in it is its name.
        labels: What may be answered.
        store: Where answers go.
        judge: What a pipeline says of a text; None where nobody shall know.
        guideline: What the labels mean, as HTML.
    """

    items: Sequence[Item]
    labels: Labels
    store: Store
    judge: Judge | None = None
    guideline: str = ""
    _sessions: dict[str, str] = field(default_factory=dict)
    _places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._places = {item.text: place for place, item in enumerate(self.items)}

    def open(self, annotator: str, session: str, take_over: bool) -> Progress:
        """Begin to label, or go on.

        Raises:
            Taken: Another session has the name, and `take_over` is false.
        """
        if not take_over:
            self._check(annotator, session)
        self._sessions[annotator] = session
        return self.progress(annotator)

    def answer(
        self, annotator: str, session: str, place: int, labels: Sequence[str] | None
    ) -> Progress:
        """Store an answer. The same one again, as after a reply that was lost, changes nothing.

        Args:
            annotator: Who answers.
            session: In which window.
            place: Of the text.
            labels: Which labels the text has; None skips it.

        Raises:
            Taken: Another session has the name.
            Refused: There is no such text or label, or there is another answer to the text.
        """
        text = self._text(annotator, session, place)
        given = None
        if labels is not None:
            given = tuple(name for name in self.labels.names if name in labels)
            if fault := self.labels.fault(tuple(dict.fromkeys(labels))):
                raise Refused(fault)
        if self.store.add(Answer(text, annotator, given, now())).labels != given:
            raise Refused("this text has another answer already: reload the page")
        return self.progress(annotator)

    def undo(self, annotator: str, session: str, place: int) -> tuple[Progress, Answer | None]:
        """Take an answer back and ask for it again.

        Returns:
            The progress, whose place is that of the text, and the answer, if there was one.

        Raises:
            Taken: Another session has the name.
            Refused: There is no such text.
        """
        text = self._text(annotator, session, place)
        answer = self.store.of(annotator).get(text)
        self.store.remove(annotator, text)
        found = self.progress(annotator)
        return Progress(place, found.done, found.skipped, found.last), answer

    def progress(self, annotator: str) -> Progress:
        """Where an annotator is; answers to texts that the pool no longer has don't count."""
        mine = self.store.of(annotator)
        given = [answer for text, answer in mine.items() if text in self._places]
        left = (place for place, item in enumerate(self.items) if item.text not in mine)
        last = self._places[given[-1].text] if given else None
        skipped = sum(answer.labels is None for answer in given)
        return Progress(next(left, None), len(given), skipped, last)

    def _check(self, annotator: str, session: str) -> None:
        if self._sessions.setdefault(annotator, session) != session:
            raise Taken(annotator)

    def _text(self, annotator: str, session: str, place: int) -> str:
        self._check(annotator, session)
        if not 0 <= place < len(self.items):
            raise Refused(f"there is no text {place}")
        return self.items[place].text
