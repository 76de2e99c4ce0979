"""Plain text, one text per line: unlabelled, for pretraining."""

from collections.abc import Iterator

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.inputs import named
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import TOO_LONG, Source
from spacy_bert_zh.reading.thucnews import MARK


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read one text per line; blank lines only separate."""
    for number, line in source.lines():
        if number == 1 and line and line.startswith(MARK):
            raise BertZhError(
                f"{named(source.path)} has lines of fastText, with labels: --format thucnews reads "
                "them, and with --unlabelled their texts alone"
            )
        if line is None:
            yield Reject(number, TOO_LONG)
        elif line.strip():
            yield Row(number, line, None)
