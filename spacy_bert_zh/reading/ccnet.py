"""CCNet: web pages as JSON lines, with their language and a bucket of their perplexity."""

from collections.abc import Iterator

from spacy_bert_zh.reading.jsonl import objects
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read the pages of one language, and of some buckets where the options name them."""
    for item in objects(source):
        if isinstance(item, Reject):
            yield item
            continue
        number, page = item
        text, language, bucket = (page.get(key) for key in ("raw_content", "language", "bucket"))
        if not isinstance(text, str):
            yield Reject(number, "no text", "in 'raw_content'")
        elif language != options.language:
            yield Reject(number, "other language", str(language), text)
        elif options.buckets and bucket not in options.buckets:
            yield Reject(number, "other bucket", str(bucket), text)
        else:
            yield Row(number, text, None)
