"""The options of `attack`, checked."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import one_of

SEARCHES = ("greedy", "random")


@dataclass(frozen=True)
class Options:
    """How to attack.

    Args:
        families: Kinds of changes, between commas; empty takes all that can be had.
        budget: Changes that a text may have.
        queries: Changed texts that the pipeline is asked about, of a text and family; `greedy`
            asks once more for each word of the text, for all families together.
        search: Which places are tried first: `greedy` those of the words that matter most to the
            pipeline, `random` any.
        similar: Files of lines "character similar-characters" for the family `shape`, as
            `pretrain` takes them; else characters that have a part in common.
        checkpoint: Folder of a BERT, RoBERTa or ERNIE with its head of masked language modelling,
            for the family `synonym`.
        limit: Texts of the corpus, drawn; 0 takes all.
        seed: Seed of all chance.
        component: Which text classifier, if there are several.
        fail_under: End with an error if a family leaves less accuracy than this.
    """

    families: tuple[str, ...] = ()
    budget: int = 2
    queries: int = 20
    search: str = "greedy"
    similar: tuple[Path, ...] = ()
    checkpoint: Path | None = None
    limit: int = 0
    seed: int = 0
    component: str | None = None
    fail_under: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("budget", 1), ("queries", 1), ("limit", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise BertZhError(f"--{name} is {getattr(self, name)}: it must be {least} or more")
        if self.queries < self.budget:
            raise BertZhError(
                f"--queries {self.queries} is less than --budget {self.budget}: "
                "each change must be asked about once at least"
            )
        one_of("--search", self.search, SEARCHES)
        if self.fail_under is not None and not 0 <= self.fail_under <= 1:
            raise BertZhError(f"--fail-under is {self.fail_under:g}: it must be from 0 to 1")
