"""From a record with named columns to a row."""

import fnmatch
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.label_values import (
    NO_LABEL,
    TWIN,
    NotALabelError,
    has_twin,
    is_true,
    label_names,
)
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source

# Well-known names. Those of a later group count only where none of an earlier one is there; two
# of the same group are ambiguous.
TEXTS = (
    "text text_a sentence content review comment news body article query utterance document "
    "raw_content raw_text review_body 文本 内容 內容 评论 評論 正文 句子 文章 原文 语句 评价 評價 "
    "留言 微博 新闻 新聞 文本内容 评论内容 評論內容 评价内容 新闻内容 微博内容 微博正文 "
    "微博中文内容 留言内容 文章内容 评论文本 用户评论 comment_text",
    "title headline subject 标题 標題 题目 新闻标题",
    "data comments reviews",
)
LABELS = (
    "label_desc label_des label_name label_text 标签名 标签名称 类别名 类别名称",
    "label labels category categories cat cats class sentiment 标签 標籤 类别 類別 分类 分類 情感 "
    "情感倾向 情感标签 情感极性 情感类别 类别标签 分类标签 标注",
    "target tag tags intent topic emotion polarity 意图 主题 情绪 类型",
)

EMPTY_FLAG = "empty cell in a column of a label, read as 0"


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Args:
        text: Joined by a line break.
        label: None for unlabelled text, or where `flags` are given.
        separator: Between the labels in a text.
        flags: Columns of 0 and 1, one for each label.
        kept: Columns that go along with a row; None for all but the text's.
        path: The file, for messages.
    """

    text: tuple[str, ...]
    label: str | None
    separator: str | None
    flags: tuple[str, ...] = ()
    kept: tuple[str, ...] | None = ()
    path: Path = Path()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that a row is made of, without those that go along."""
        return (*self.text, *([self.label] if self.label is not None else []), *self.flags)

    def row(self, line: int, record: Mapping[str, Any]) -> Row | Reject:
        """Take a row from a record.

        Raises:
            BertZhError: A column of `flags` has another value than yes and no.
        """
        row = self._row(line, record)
        if self.kept == ():
            return row
        names = [name for name in record if name not in self.text]
        kept = names if self.kept is None else self.kept
        return replace(row, columns={name: record.get(name) for name in kept})

    def _row(self, line: int, record: Mapping[str, Any]) -> Row | Reject:
        values = [record.get(name) for name in self.text]
        excerpt = " ".join(str(value) for value in values if value is not None)
        texts = [value for value in values if value is not None]
        if not texts or not all(isinstance(value, str) for value in texts):
            return Reject(line, "no text", f"in {', '.join(self.text)}", excerpt)
        text = "\n".join(value for value in texts if value)
        try:
            if self.flags:
                return self._flagged(line, text, record)
            if self.label is None:
                return Row(line, text, None)
            label = record.get(self.label)
            names = label_names(label, self.separator)
            return Row(line, text, names, remark=TWIN if has_twin(label, self.separator) else "")
        except NotALabelError as error:
            where = f"in {', '.join(self.flags) or self.label}"
            return Reject(line, error.reason, f"{where} {error.detail}".strip(), excerpt)

    def _flagged(self, line: int, text: str, record: Mapping[str, Any]) -> Row:
        flags = {name: self._flag(line, name, record.get(name)) for name in self.flags}
        chosen = tuple(name for name, flag in flags.items() if flag)
        empty = [name for name, flag in flags.items() if flag is None]
        # Many write only the ones. Where there is none, nobody may have looked at the row.
        if empty and not chosen:
            raise NotALabelError(NO_LABEL, f"but nothing for '{empty[0]}'")
        return Row(line, text, chosen, remark=EMPTY_FLAG if empty else "")

    def _flag(self, line: int, name: str, value: Any) -> bool | None:
        try:
            return is_true(value)
        except ValueError:
            raise BertZhError(
                f"{self.path}:{line}: the column '{name}' has {str(value)[:50]!r}: the columns of "
                "--label-columns hold 0 or 1 (no or yes, 否 or 是, nothing or √)"
            ) from None


def choose(
    names: Iterable[str], options: Options, source: Source, labels: Sequence[str] = ()
) -> Columns:
    """Choose the columns that the options name, or well-known ones.

    Args:
        names: Of all columns.
        options: May name some.
        source: Is told what was chosen.
        labels: The columns that can only be labels, where the format says which.

    Raises:
        BertZhError: A column isn't there, or twice, none of the well-known ones is there, or
            several that could be meant are.
    """
    header = _Header(list(names), source.path, options.format)
    label = header.named(options.label_column) if options.label_column else None
    flags = header.matching(options.label_columns)
    text = tuple(map(header.named, options.text_columns))
    if not text:
        # What is the label isn't the text.
        text = header.well_known(TEXTS, "text", "--text-columns", {label, *flags, *labels})
    if label is None and not flags and not options.unlabelled:
        label = _label(header, text, labels)
    if twice := {*text} & {label, *flags}:
        raise BertZhError(f"the column '{twice.pop()}' can't be the text and a label as well")
    kept = None if options.keep is None else tuple(map(header.named, options.keep))
    columns = Columns(text, label, options.label_separator, flags, kept, source.path)
    source.notes.append(header.described(columns))
    return columns


def is_header(names: Iterable[str]) -> bool:
    """Whether these are names of columns, one of text and one of labels, rather than a row."""
    found = {_plain(name) for name in names}
    groups = (TEXTS[:2], LABELS)
    return all(not found.isdisjoint(map(_plain, " ".join(group).split())) for group in groups)


def has_text_column(names: Iterable[str], options: Options) -> bool:
    """Whether a column among these is one of text, by the options or by its name."""
    known = options.text_columns or " ".join(TEXTS[:2]).split()
    return not {_plain(name) for name in names}.isdisjoint(map(_plain, known))


def _label(header: "_Header", text: tuple[str, ...], labels: Sequence[str]) -> str:
    if labels:
        return header.one_of(list(labels), "label", "--label-column")
    (label,) = header.well_known(LABELS, "label", "--label-column", set(text))
    return label


class _Header:
    """The names of columns, as they stand and as they are compared."""

    def __init__(self, names: list[str], path: Path, format: str) -> None:
        self._format = format
        self._names = names
        self._path = path
        self._there = f"the columns of {path} are: {', '.join(map(repr, names)) or 'none'}"

    def named(self, name: str) -> str:
        """The column of this name, or of one that looks the same."""
        found = [there for there in self._names if there == name]
        found = found or [there for there in self._names if _plain(there) == _plain(name)]
        if not found:
            parts = [part.strip() for part in name.split(",")]
            several = len(parts) > 1 and set(parts) <= set(self._names)
            way = "; for a column of 0 and 1 for each label: --label-columns" if several else ""
            raise BertZhError(f"no column '{name}': {self._there}{way}")
        if len(found) > 1:
            raise BertZhError(f"the column '{name}' is there {len(found)} times: {self._there}")
        return found[0]

    def matching(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """The columns of these names or patterns (topic_*)."""
        found: list[str] = []
        for pattern in patterns:
            matched = [name for name in self._names if fnmatch.fnmatchcase(name, pattern)]
            found += matched if "*" in pattern and matched else [self.named(pattern)]
        return tuple(dict.fromkeys(found))

    def well_known(
        self, groups: Iterable[str], what: str, option: str, but: set[str | None]
    ) -> tuple[str]:
        """The column of the first group of names that has one here."""
        for group in groups:
            found = [name for name in self._known(group) if name not in but]
            if found:
                return (self.one_of(found, what, option),)
        way = f"choose with {option}"
        if what == "label":
            way += ", or --unlabelled for text alone"
        if self._format in ("csv", "tsv", "xlsx"):
            way += "; if this row is no header, write one above it, such as text and label"
        if self._format == "tsv" and len(self._names) == 2:
            way += ", or give --format thucnews, which needs none"
        raise BertZhError(f"no {what} column: {self._there}; {way}")

    def one_of(self, names: Sequence[str], what: str, option: str) -> str:
        """The only one of these columns."""
        if len(names) > 1:
            raise BertZhError(
                f"{self._path} has {len(names)} columns that could be the {what}: "
                f"{', '.join(map(repr, names))}; choose with {option}"
            )
        return names[0]

    def described(self, columns: Columns) -> str:
        """What was chosen, in words."""
        chosen = ", ".join(map(repr, columns.text))
        unread = [name for name in self._known(TEXTS[1]) if name not in columns.names]
        if unread and len(columns.text) == 1:
            joined = f"{unread[0]},{columns.text[0]}"
            chosen += f", '{unread[0]}' is not read (--text-columns {joined} joins them)"
        label = ", ".join(map(repr, columns.names[len(columns.text) :]))
        return f"text in {chosen}; label in {label}" if label else f"text in {chosen}"

    def _known(self, group: str) -> list[str]:
        known = {_plain(name) for name in group.split()}
        return [name for name in self._names if _plain(name) in known]


def _plain(name: str) -> str:
    """A name without case, width, white space, underscores and what isn't seen."""
    visible = unicodedata.normalize("NFKC", name).replace("\ufeff", "").replace("_", " ")
    return "".join(visible.split()).casefold()
