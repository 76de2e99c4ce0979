"""Plain text, one text per line: unlabelled, for pretraining."""

from collections.abc import Iterator

from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject, Row
from spacy_bert_zh.convert.source import TOO_LONG, Source


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read one text per line; blank lines only separate."""
    for number, line in source.lines():
        if line is None:
            yield Reject(number, TOO_LONG)
        elif line.strip():
            yield Row(number, line, None)
