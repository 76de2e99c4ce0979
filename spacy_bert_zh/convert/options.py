"""The options of `convert`, checked."""

import codecs
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError

NORMALIZE = ("none", "width", "nfkc")
SPLIT_BY = ("hash", "stratified")
# Where options mean something that don't everywhere.
_OF_FORMATS = {("delimiter", "quotes", "escape"): ("csv", "tsv"), ("sheet",): ("xlsx",)}
# As people write a tab on a command line.
_TABS = {"tab": "\t", "\\t": "\t"}


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
        delimiter: csv, tsv: what stands between fields; None takes tabs for tsv and finds it
            for csv.
        quotes: csv, tsv: False if quotation marks are text like any other, True if a field in
            them may hold what looks like rows; None tells by the file.
        escape: csv, tsv: what stands before a quotation mark inside a field; None finds out
            whether it is a backslash, or another quotation mark as usual.
        sheet: xlsx: name of the sheet; None takes the only one that isn't empty.
        keep: Further columns that go along with each row; None takes all. For `score`.
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
        tokenizer: Folder of the BERT tokenizer that counts word pieces; None takes the
            embedded one.
        max_length: Report the share of texts with more word pieces than this.
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
    delimiter: str | None = None
    quotes: bool | None = None
    escape: str | None = None
    sheet: str | None = None
    keep: tuple[str, ...] | None = ()
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
    tokenizer: Path | None = None
    max_length: int = 512

    def __post_init__(self) -> None:
        _set(self, "format", self.format.strip().lower())
        _one_of("--normalize", self.normalize, NORMALIZE)
        _one_of("--split-by", self.split_by, SPLIT_BY)
        _check_encoding(self.encoding)
        if self.label_separator == "":
            raise BertZhError("--label-separator is empty: give the separating text, e.g. '|'")
        for name, least in (("limit", 0), ("shard_size", 1), ("max_length", 1)):
            value = getattr(self, name)
            if value < least:
                option = name.replace("_", "-")
                raise BertZhError(f"--{option} is {value}: it must be {least} or more")
        self._check_split()
        self._check_table()

    def _check_table(self) -> None:
        for names, formats in _OF_FORMATS.items():
            for name in names:
                if getattr(self, name) is not None and self.format not in formats:
                    option = "--quotes" if name == "quotes" else f"--{name}"
                    raise BertZhError(
                        f"{option} is for --format {' and '.join(formats)}, not {self.format}"
                    )
        if self.delimiter is not None:
            _set(self, "delimiter", _TABS.get(self.delimiter.lower(), self.delimiter))
        for option, value in (("--delimiter", self.delimiter), ("--escape", self.escape)):
            if value is not None and (len(value) != 1 or value in '"\r\n'):
                raise BertZhError(
                    f"{option} {value!r}: give one character that is no quotation mark or line "
                    "break; for a tab, write tab"
                )
        if self.escape and self.escape == self.delimiter:
            raise BertZhError(f"--escape and --delimiter are both {self.escape}")

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
    *,
    split: str | None = None,
    text_columns: str = "",
    buckets: str = "",
    keep: str | None = "",
    **others: Any,
) -> Options:
    """Build options from a command line, where lists are texts between commas."""
    try:
        shares = None if split is None else tuple(float(share) for share in split.split(","))
    except ValueError:
        raise BertZhError(f"--split {split}: give three numbers, e.g. 0.8,0.1,0.1") from None
    return Options(
        split=shares,
        text_columns=_listed(text_columns),
        buckets=_listed(buckets),
        keep=None if keep is None else _listed(keep),
        **others,
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _set(options: Options, name: str, value: str) -> None:
    """Write an option as it is meant, before anyone has read it."""
    object.__setattr__(options, name, value)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BertZhError(f"{option} {value} is unknown: choose one of {', '.join(known)}")


def _check_encoding(encoding: str | None) -> None:
    if encoding is None:
        return
    try:
        if codecs.lookup(encoding).name not in ("utf-16", "utf-32"):  # these want a mark first
            io.TextIOWrapper(io.BytesIO(b"{}"), encoding, "replace").read()
    except (LookupError, TypeError, UnicodeError):
        raise BertZhError(
            f"--encoding {encoding} is unknown: try utf-8, gb18030 or big5, "
            "or leave it out to have it detected"
        ) from None
