"""The options of `select`, checked."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import TextOptions
from spacy_bert_zh.reading.options import one_of

STRATEGIES = ("badge", "margin", "entropy", "random")


@dataclass(frozen=True)
class Options(TextOptions):
    """How to select; how to find the texts as in `reading.TextOptions`.

    Args:
        format: Format of the pool: text, jsonl, csv, or any other of convert's.
        count: Texts to select.
        strategy: `badge` takes texts that are unsure and unlike each other; `margin` those with
            the smallest distance between the two best scores, `entropy` those whose scores are
            the most even, `random` any.
        candidates: So many texts of the pool are kept to choose among, the least sure ones; the
            pool may be of any size.
        labelled: Converted corpora; texts that equal or nearly equal one of them are passed over.
        seed: Seed of all chance.
        component: Which text classifier, if there are several.
    """

    format: str = "text"
    count: int = 200
    strategy: str = "badge"
    candidates: int = 10_000
    labelled: tuple[Path, ...] = ()
    seed: int = 0
    component: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("candidates", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise BertZhError(f"--{name} is {getattr(self, name)}: it must be {least} or more")
        one_of("--strategy", self.strategy, STRATEGIES)
        if self.candidates < self.count:
            raise BertZhError(
                f"--candidates {self.candidates} is less than --count {self.count}: "
                "more texts must be kept than are selected"
            )
        for path in self.labelled:
            if not path.exists():
                raise BertZhError(f"--labelled {path}: no such file or folder")
