"""The options of `convert`, checked: those of reading, and what is made of the rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from spacy_bert_zh.changes import NAMES
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import options as reading

SPLIT_BY = ("hash", "stratified")


@dataclass(frozen=True)
class Options(reading.Options):
    """How to read, clean, split and write a corpus.

    Args:
        dev: File or folder of a development set that comes with the corpus.
        test: File or folder of a test set that comes with the corpus.
        label_names: Pairs of a label and the name to give it, e.g. 0=负面,1=正面. A label that
            is here is never taken for a missing value.
        taxonomy: Which label lies under which: a table of child and parent with a tab between
            them. Rows get all labels above their own.
        level_separator: The same for labels that say it themselves: what stands between their
            levels, e.g. '/' in 体育/足球.
        split: Shares of train, dev and test; else 0.9,0.1,0, without dev where a dev set is
            given.
        split_by: "hash" splits by a hash of the text, so that a text stays in its split when
            rows are added; "stratified" keeps each label's share the same in every split.
        seed: Seed of the split and the shuffle.
        fixes: JSON lines of what a person decided about single texts: {"text": …, "action":
            "relabel", "drop" or "keep", "label": …}. What `audit` writes can be such a file.
        limit: At most this many rows for each split, for a quick run; 0 takes all.
        augment: Kinds of changes, between commas, as `attack` knows them: train gets changed
            texts beside its own.
        augment_share: Changed texts for each text of train: 0.5 makes one of every other.
        augment_changes: Changes in one of them at most; how many is drawn.
        similar: Files of lines "character similar-characters" for the kind `shape`, as `attack`
            takes them.
        adversarial: Files `adversarial.jsonl` of attacks on the texts of train: these texts, too,
            with the labels of those that they were made of.
        shard_size: Documents in one file of the output.
        segment: Words by jieba as tokens, instead of characters.
        pos: jieba's part-of-speech flags as tags; implies `segment`.
        config: The config that will be trained with: the report tells what of the texts it
            reads; else what `nlp.add_pipe("bert_textcat")` reads.
        tokenizer: Folder or name of the BERT that counts word pieces; else the config's.
        max_length: Report the share of texts with more word pieces than this; else than the
            config reads.
    """

    dev: Path | None = None
    test: Path | None = None
    label_names: tuple[tuple[str, str], ...] = ()
    taxonomy: Path | None = None
    level_separator: str | None = None
    split: tuple[float, ...] | None = None
    split_by: str = "hash"
    seed: int = 0
    fixes: Path | None = None
    limit: int = 0
    augment: tuple[str, ...] = ()
    augment_share: float = 1.0
    augment_changes: int = 4
    similar: tuple[Path, ...] = ()
    adversarial: tuple[Path, ...] = ()
    shard_size: int = 10_000
    segment: bool = False
    pos: bool = False
    config: Path | None = None
    tokenizer: str | None = None
    max_length: int | None = None

    # What is written of text without labels are no tokens.
    for_labels: ClassVar[tuple[str, ...]] = (
        *reading.Options.for_labels,
        *("label_names", "taxonomy", "level_separator", "fixes", "segment", "pos", "shard_size"),
        *("augment", "adversarial"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        reading.one_of("--split-by", self.split_by, SPLIT_BY)
        for name, least in (
            ("limit", 0),
            ("shard_size", 1),
            ("augment_changes", 1),
            ("max_length", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BertZhError(f"{reading.option(name)} is {value}: it must be {least} or more")
        if self.level_separator == "":
            raise BertZhError("--level-separator is empty: give the separating text, e.g. '/'")
        if self.taxonomy is not None and self.level_separator is not None:
            raise BertZhError("--taxonomy and --level-separator contradict each other: choose one")
        self._check_split()
        self._check_augment()

    def _check_augment(self) -> None:
        for name in self.augment:
            reading.one_of("--augment", name, NAMES)
        if not self.augment_share > 0:
            raise BertZhError(f"--augment-share is {self.augment_share:g}: it must be more than 0")
        for name in ("augment_share", "augment_changes", "similar"):
            if getattr(self, name) != getattr(Options, name) and not self.augment:
                raise BertZhError(
                    f"{reading.option(name)} means nothing without --augment: name kinds of "
                    f"changes, of {', '.join(NAMES)}"
                )

    def _check_split(self) -> None:
        shares = self.shares
        good = len(shares) == 3 and all(0 <= share <= 1 for share in shares)
        if not good or abs(sum(shares) - 1) > 1e-6 or not shares[0]:
            given = ",".join(map(str, shares))
            raise BertZhError(
                f"--split {given}: give the shares of train, dev and test, e.g. 0.8,0.1,0.1; "
                "they add up to 1 and train isn't empty"
            )
        for name, share, path in (("dev", shares[1], self.dev), ("test", shares[2], self.test)):
            if share and path:
                raise BertZhError(
                    f"--split takes a share of {share} for {name}, which --{name} {path} "
                    "already gives: make that share 0"
                )

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of train, dev and test."""
        if self.split is not None:
            return self.split
        return (1.0, 0.0, 0.0) if self.dev else (0.9, 0.1, 0.0)


def parse_options(
    *, split: str | None = None, label_names: str = "", augment: str = "", **others: Any
) -> Options:
    """Build options from a command line, where lists are texts between commas.

    Raises:
        BertZhError: An option has no meaning, to the format or at all.

    Examples:
        >>> options = parse_options(format="csv", split="0.8,0.1,0.1", label_names="0=负面,1=正面")
        >>> options.shares, options.label_names
        ((0.8, 0.1, 0.1), (('0', '负面'), ('1', '正面')))
    """
    try:
        shares = None if split is None else tuple(float(share) for share in split.split(","))
    except ValueError:
        raise BertZhError(f"--split {split}: give three numbers, e.g. 0.8,0.1,0.1") from None
    lists: dict[str, Any] = {"label_names": _pairs(label_names), "augment": reading.parts(augment)}
    return reading.parse_options(Options, split=shares, **lists, **others)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for part in reading.parts(text):
        label, _, name = (side.strip() for side in part.partition("="))
        if not label or not name or "=" in name or label in pairs:
            why = "is named twice" if label in pairs else "is no label=name"
            raise BertZhError(
                f"--label-names: '{part}' {why}; give pairs between commas, e.g. 0=负面,1=正面"
            )
        pairs[label] = name
    return tuple(pairs.items())
