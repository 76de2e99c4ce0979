"""Parquet, in batches; a row's number stands for its line."""

import json
from collections.abc import Iterator

from spacy_bert_zh.convert.columns import choose
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.rows import Reject, Row
from spacy_bert_zh.convert.source import Source
from spacy_bert_zh.errors import BertZhError, missing_extra

BATCH = 1000


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read a row from each row of the file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise missing_extra("pyarrow", "convert", "--format parquet") from None
    try:
        with parquet.ParquetFile(source.path) as file:
            columns = choose(file.schema_arrow.names, options, source)
            classes = _class_names(file.schema_arrow.metadata, columns.label)
            number, rows = 0, max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(BATCH, columns=list(columns.names)):
                for record in batch.to_pylist():
                    number += 1
                    if classes and isinstance(code := record[columns.label], int):
                        # Hugging Face writes -1 where there is no label.
                        record[columns.label] = classes[code] if 0 <= code < len(classes) else None
                    yield columns.row(number, record)
                source.done(source.path.stat().st_size * number // rows)
    except pyarrow.ArrowInvalid as error:
        raise BertZhError(f"{source.path} can't be read as Parquet: {error}") from error


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str]:
    """The names that Hugging Face's datasets write beside a column of numbers (ClassLabel)."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else []
