"""The options of `convert`, checked."""

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError

NORMALIZE = ("none", "width", "nfkc")
SPLIT_BY = ("hash", "stratified")


@dataclass(frozen=True)
class Options:
    """How to read, clean, split and write a corpus.

    Args:
        format: Name of the corpus format, a key of `formats.FORMATS`.
        dev: File or folder of a development set that comes with the corpus.
        test: File or folder of a test set that comes with the corpus.
        encoding: Encoding of the input; None detects it for each file.
        text_columns: Columns, keys or tags of the text, joined by a line break; empty detects.
        label_column: Column or key of the label; None detects.
        label_separator: What separates the labels of one row in a multi-label corpus.
        multilabel: Say in the report that labels don't exclude each other.
        unlabelled: Ignore labels and write JSON lines of text, for pretraining.
        quotes: False for CSV and TSV files that use no quotation marks around fields.
        classes: thucnews: file of the label names, one a line; None takes class.txt beside it.
        hosts: sogou: TSV or JSON of host and label, over the built-in table.
        language: ccnet: the language to keep.
        buckets: ccnet: the buckets to keep; empty keeps all.
        normalize: "width" makes full-width letters, digits, symbols and spaces half-width but
            keeps Chinese punctuation; "nfkc" applies Unicode's NFKC, which makes a half-width
            comma of ， as well; "none" leaves the characters.
        simplify: Traditional to simplified characters.
        join_segmented: Remove the spaces of a corpus whose words are already separated.
        split: Shares of train, dev and test; None takes 0.9, 0.1, 0, without dev where a
            dev set is given.
        split_by: "hash" splits by a hash of the text, so that a text stays in its split when
            rows are added; "stratified" keeps each label's share the same in every split.
        seed: Seed of the split and the shuffle.
        limit: At most this many rows for each split, for a quick run; 0 takes all.
        shard_size: Documents in one file of the output.
        segment: Words by jieba as tokens, instead of characters.
        pos: jieba's part-of-speech flags as tags; implies `segment`.
        config: The config that will be trained with: the report tells what of the texts it
            reads. None takes what `nlp.add_pipe("bert_textcat")` reads.
        tokenizer: Folder or name of the BERT that counts word pieces; None takes the config's.
        max_length: Report the share of texts with more word pieces than this; None takes what
            the config reads.
    """

    format: str
    dev: Path | None = None
    test: Path | None = None
    encoding: str | None = None
    text_columns: tuple[str, ...] = ()
    label_column: str | None = None
    label_separator: str | None = None
    multilabel: bool = False
    unlabelled: bool = False
    quotes: bool = True
    classes: Path | None = None
    hosts: Path | None = None
    language: str = "zh"
    buckets: tuple[str, ...] = ()
    normalize: str = "width"
    simplify: bool = False
    join_segmented: bool = False
    split: tuple[float, ...] | None = None
    split_by: str = "hash"
    seed: int = 0
    limit: int = 0
    shard_size: int = 10_000
    segment: bool = False
    pos: bool = False
    config: Path | None = None
    tokenizer: str | None = None
    max_length: int | None = None

    def __post_init__(self) -> None:
        _one_of("--normalize", self.normalize, NORMALIZE)
        _one_of("--split-by", self.split_by, SPLIT_BY)
        _check_encoding(self.encoding)
        if self.label_separator == "":
            raise BertZhError("--label-separator is empty: give the separating text, e.g. '|'")
        for name, least in (("limit", 0), ("shard_size", 1), ("max_length", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                option = name.replace("_", "-")
                raise BertZhError(f"--{option} is {value}: it must be {least} or more")
        self._check_split()

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
    *, split: str | None = None, text_columns: str = "", buckets: str = "", **others: Any
) -> Options:
    """Build options from a command line, where lists are texts between commas."""
    try:
        shares = None if split is None else tuple(float(share) for share in split.split(","))
    except ValueError:
        raise BertZhError(f"--split {split}: give three numbers, e.g. 0.8,0.1,0.1") from None
    return Options(
        split=shares, text_columns=_listed(text_columns), buckets=_listed(buckets), **others
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BertZhError(f"{option} {value} is unknown: choose one of {', '.join(known)}")


def _check_encoding(encoding: str | None) -> None:
    if encoding is None:
        return
    try:
        ascii_compatible = codecs.encode("\n{", encoding) == b"\n{"
    except (LookupError, TypeError, UnicodeError):
        raise BertZhError(
            f"--encoding {encoding} is unknown: try utf-8, gb18030 or big5, "
            "or leave it out to have it detected"
        ) from None
    # Lines are found in the bytes, before decoding.
    if not ascii_compatible and codecs.lookup(encoding).name != "utf-8-sig":
        raise BertZhError(
            f"--encoding {encoding} can't be read line by line: "
            f"convert the file first, iconv -f {encoding} -t utf-8 FILE"
        )
