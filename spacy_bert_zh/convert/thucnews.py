"""THUCNews: lines of text, tab, label; or a folder of documents for each label."""

import os
from collections.abc import Iterator
from pathlib import Path

from spacy_bert_zh.convert.inputs import find_files
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject, Row
from spacy_bert_zh.convert.source import TOO_LONG, Source
from spacy_bert_zh.errors import BertZhError

CLASSES = "class.txt"


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
        yield Row(1, text, (place[0],)) if text is not None else Reject(1, TOO_LONG)
        return
    names = _class_names(source.path, options)
    for number, line in source.lines():
        if line is None:
            yield Reject(number, TOO_LONG)
        elif line.strip():
            yield _row(number, line.rstrip("\r\n"), names)


def _row(number: int, line: str, names: list[str]) -> Row | Reject:
    text, tab, label = line.rpartition("\t")
    label = label.strip()
    if not tab:
        return Reject(number, "no tab", text=line)
    if not label:
        return Reject(number, "no label", text=text)
    if not names or label in names:
        return Row(number, text, (label,))
    if label.isdecimal() and int(label) < len(names):
        return Row(number, text, (names[int(label)],))
    return Reject(number, "unknown label", f"'{label}', of {len(names)} classes", text)


def _class_names(path: Path, options: Options) -> list[str]:
    file = options.classes or path.with_name(CLASSES)
    if not file.exists() and not options.classes:
        return []
    try:
        names = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise BertZhError(f"{file} isn't UTF-8: convert the class names first") from None
    return [name for name in names if name]
