"""What a server accepts, and how long anything may take."""

from dataclasses import dataclass

from spacy_bert_zh.errors import BertZhError


@dataclass(frozen=True)
class Limits:
    """All of them are greater than 0, but for `max_per_minute`, whose 0 doesn't limit.

    Attributes:
        max_wait: Seconds that a text waits for others to be computed with.
        max_batch: Texts computed at once, at most.
        max_queue: Texts that wait for one pipeline, at most. No more requests than `max_queue`
            and `max_batch` together are read and answered at a time.
        deadline: Seconds from the arrival of a request's body to its answer, at most.
        max_read: Seconds for the arrival of a request's body, at most.
        max_body: Bytes of a body, at most.
        max_texts: Texts of a request, at most.
        max_length: Characters of a text, at most.
        max_scores: Scores of an answer to several texts, at most.
        max_explained: Characters of a text that is explained, at most.
        max_per_minute: Requests of one client's address in a minute, at most; 0 doesn't limit.

    Raises:
        BertZhError: A value is out of range, or no queue could hold a permitted request.
    """

    max_wait: float = 0.003
    max_batch: int = 32
    max_queue: int = 1024
    deadline: float = 10.0
    max_read: float = 10.0
    max_body: int = 1_000_000
    max_texts: int = 256
    max_length: int = 20_000
    max_scores: int = 100_000
    max_explained: int = 500
    max_per_minute: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "max_per_minute" and value == 0:
                continue
            if not value > 0:
                raise BertZhError(f"{name} = {value} must be greater than 0")
        if self.max_texts > self.max_queue:
            raise BertZhError(
                f"max_texts = {self.max_texts} is more than max_queue = {self.max_queue} can hold: "
                "raise max_queue or lower max_texts"
            )
