"""THUCNews: lines of text, tab, label or the other way round; or a folder for each label."""

import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.cleaning import make_label_cleaner
from spacy_bert_zh.reading.columns import is_header
from spacy_bert_zh.reading.inputs import find_files, named
from spacy_bert_zh.reading.label_values import TWIN, NotALabelError, has_twin, label_names
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import RECORD_LIMIT, TOO_LONG, Source

CLASSES = "class.txt"
# Lines that tell on which side the labels are.
SAMPLE = 1000
# Fewer say nothing: the text comes first.
ENOUGH = 6
# With more different values than this share of the lines, it is not labels that come first.
MOST_DIFFERENT = 0.5
# How fastText marks each label of a line.
MARK = "__label__"
_MARKED = re.compile(rf"(?<!\S){MARK}(\S*)")
_INDEX = re.compile(r"\d+(?:\.0)?")


def files(path: Path) -> Iterator[Path]:
    """Yield a file, the files of a folder, or the documents of the folders in it."""
    folders = []
    if path.is_dir():
        folders = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    # One label at a time: the names of all 836,075 documents needn't be in memory.
    for folder in folders:
        yield from find_files(path / folder, (".txt",))
    if not folders:
        yield from (found for found in find_files(path, (".txt",)) if found.name != CLASSES)


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read a file of lines, or a document that lies in the folder of its label."""
    place = source.path.relative_to(source.root).parts
    if len(place) > 1:
        text = source.text()
        names = _names(options.classes, options)
        yield names.row(1, text, place[0]) if text is not None else Reject(1, TOO_LONG)
        return
    names = _names(options.classes or _beside(source.path), options)
    lines = _lines(source)
    sample = list(_sample(lines))
    if sample and (header := (sample[0][1] or "").split("\t")) and is_header(header):
        raise BertZhError(
            f"{source.path} begins with a header, {', '.join(header)}: give --format tsv"
        )
    filled = [line for _, line in sample if line]
    label_first = False
    if marked := bool(filled) and all(map(_MARKED.search, filled)):
        source.notes.append(f"lines of fastText: words that begin with {MARK} are the labels")
    else:
        found = [line for line in filled if "\t" in line]
        _check_columns(found, source, options)
        label_first = _label_first(found, names, source, options)
    for number, line in chain(sample, lines):
        if line is None:
            yield Reject(number, TOO_LONG)
        elif marked:
            text, labels = _MARKED.sub("", line).strip(), _MARKED.findall(line)
            found_none = Reject(number, "no label", text=line)
            yield names.row(number, text, labels) if labels else found_none
        elif "\t" not in line:
            yield Reject(number, "no tab", text=line)
        else:
            yield names.row(number, *_parts(line, label_first, options))


class _Names:
    """The names of the classes, which a line may name by their numbers; any name if empty."""

    def __init__(self, names: list[str], clean: Callable[[str], str], options: Options) -> None:
        self._names = names
        self._clean = clean
        self._options = options

    def __bool__(self) -> bool:
        return bool(self._names)

    def row(self, line: int, text: str, label: str | list[str]) -> Row | Reject:
        """The row of a text and what stands in its label's place, or its labels."""
        if self._options.unlabelled:
            return Row(line, text, None)
        try:
            separator = self._options.label_separator
            labels = label_names(label, separator)
            remark = TWIN if has_twin(label, separator) else ""
        except NotALabelError as error:
            return Reject(line, error.reason, error.detail, text)
        if not self._names:
            return Row(line, text, labels, remark=remark)
        found = [self._find(name) for name in labels]
        named = tuple(name for name in found if name is not None)
        if len(named) < len(found):
            given = label.strip() if isinstance(label, str) else " ".join(label)
            detail = f"'{given}', of {len(self._names)} classes"
            return Reject(line, "unknown label", detail, text)
        return Row(line, text, named, remark=remark)

    def know(self, label: str) -> bool:
        """Whether this can be a label."""
        return isinstance(self.row(0, "", label), Row)

    def _find(self, label: str) -> str | None:
        label = self._clean(label)
        if label in self._names:
            return label
        number = int(float(label)) if _INDEX.fullmatch(label) else len(self._names)
        return self._names[number] if number < len(self._names) else None


@lru_cache(maxsize=8)  # a folder of 836,075 documents asks for the same ones again and again
def _names(file: Path | None, options: Options) -> _Names:
    clean = make_label_cleaner(options)
    try:
        lines = file.read_text("utf-8-sig").splitlines() if file else []
    except UnicodeDecodeError:
        raise BertZhError(f"{file} isn't UTF-8: convert the class names first") from None
    return _Names([name for line in lines if (name := clean(line))], clean, options)


def _beside(path: Path) -> Path | None:
    file = path.with_name(CLASSES)
    return file if file.exists() else None


def _parts(line: str, label_first: bool, options: Options) -> tuple[str, str]:
    """The text of a line, and its label or labels; only the text may have further tabs."""
    at_first_tab = label_first != (options.label_separator == "\t")
    before, _, behind = line.partition("\t") if at_first_tab else line.rpartition("\t")
    return (behind, before) if label_first else (before, behind)


def _lines(source: Source) -> Iterator[tuple[int, str | None]]:
    for number, line in source.lines():
        if line is None or line.strip():
            yield number, line if line is None else line.rstrip("\r\n")


def _sample(lines: Iterator[tuple[int, str | None]]) -> Iterator[tuple[int, str | None]]:
    size = 0
    for number, line in islice(lines, SAMPLE):
        yield number, line
        size += len(line or "")
        if size > RECORD_LIMIT:
            return


def _check_columns(lines: list[str], source: Source, options: Options) -> None:
    """Refuse a table of three columns or more, whose columns would become one text."""
    if options.label_first is not None or options.label_separator == "\t":
        return
    tabs = {line.count("\t") for line in lines}
    if len(tabs) == 1 and (columns := tabs.pop() + 1) > 2:
        raise BertZhError(
            f"{named(source.path)} has {columns} columns in every line, and none of them has a "
            "name: write a first line of names, between tabs, and choose of them with --format "
            "tsv, --text-columns and --label-column; if the tabs are part of the texts, say where "
            "the label is with --label-first or --label-last"
        )


def _label_first(lines: list[str], names: _Names, source: Source, options: Options) -> bool:
    """Whether the label stands before the text: as the options, else these lines say."""
    if options.label_first is not None:
        return options.label_first
    firsts = [line.partition("\t")[0].strip() for line in lines]
    lasts = [line.rpartition("\t")[2].strip() for line in lines]
    if names and not options.unlabelled:
        before = sum(map(names.know, firsts)) > sum(map(names.know, lasts))
    else:
        few = len(set(firsts)) <= len(lines) * MOST_DIFFERENT
        before = len(lines) >= ENOUGH and few and len(set(firsts)) < len(set(lasts))
        if before and sum(map(len, firsts)) > sum(map(len, lasts)):
            raise BertZhError(
                f"{source.path}: what stands before the tab is longer, but varies less than what "
                "stands behind: say where the label is with --label-first or --label-last"
            )
    if before:
        source.notes.append("the label stands before the text (--label-last if it doesn't)")
    return before
