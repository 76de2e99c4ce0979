"""What the tests of the readers share."""

from pathlib import Path
from typing import Any

from spacy_bert_zh.convert import Options
from spacy_bert_zh.reading.formats import get_format
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source

# A record of Sogou: its address, title and text.
DOC = "<doc>\n<url>{}</url>\n<contenttitle>{}</contenttitle>\n<content>{}</content>\n</doc>\n"


def read(path: Path, format: str, **options: Any) -> list[Row | Reject]:
    chosen = Options(format, **options)
    corpus = get_format(format)
    return [
        item
        for file in corpus.files(path)
        for item in corpus.read(Source(file, path, chosen.encoding), chosen)
    ]


def rows(items: list[Row | Reject]) -> list[tuple]:
    return [(item.line, item.text, item.labels) for item in items if isinstance(item, Row)]


def texts(items: list[Row | Reject]) -> list[str]:
    return [item.text for item in items if isinstance(item, Row)]


def rejected(items: list[Row | Reject]) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in items if isinstance(item, Reject)]


def remarks(items: list[Row | Reject]) -> list[tuple[int, str]]:
    return [(item.line, item.remark) for item in items if isinstance(item, Row) and item.remark]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
