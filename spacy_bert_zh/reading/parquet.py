"""Parquet, in batches; a row's number stands for its line."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.reading.columns import Columns, choose
from spacy_bert_zh.reading.exports import ANSWER, refused
from spacy_bert_zh.reading.inputs import SHRUNK, UNPACKED, named, opened, size
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import TOO_LONG, Source

if TYPE_CHECKING:
    from pyarrow import Scalar
    from pyarrow.parquet import FileMetaData

BATCH = 1000
# Bytes of the longest text that can be used, a million characters, and the most labels of a row.
LONGEST = 4_000_000
MOST_ITEMS = 10_000
# In lists, a value that is there a thousand times is in memory a thousand times.
UNPACKED_LISTS = 1 << 20
# What may be kept as a number in a table of its own: a value that a million rows share is then
# in memory once.
_SHARED = {"NONE", "STRING", "JSON", "ENUM"}


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read a row from each row of the file.

    Bytes that aren't UTF-8 cost their own characters only. A column without a type is text, as
    Hive and Impala write it.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise missing_extra("pyarrow", "convert", "--format parquet") from None
    with opened(source.path) as raw:
        try:
            metadata = parquet.read_metadata(raw)
            file = parquet.ParquetFile(
                raw,
                metadata=metadata,
                read_dictionary=_shared(metadata),
                pre_buffer=False,
                buffer_size=1 << 20,
            )
            columns = choose(file.schema_arrow.names, options, source)
            classes = _class_names(file.schema_arrow.metadata, columns.label)
            kept = file.schema_arrow.names if columns.kept is None else columns.kept
            answers = [field.name for field in file.schema_arrow if _is_answer(field, columns)]
            names = list(dict.fromkeys([*columns.names, *answers, *kept]))
            _check_sizes(metadata, names, source)
            number, total = 0, max(metadata.num_rows, 1)
            for batch in file.iter_batches(BATCH, columns=names):
                values = [_reader(batch.column(name)) for name in names]
                for index in range(batch.num_rows):
                    number += 1
                    try:
                        read = [value(index) for value in values]
                    except _TooLong:
                        yield Reject(number, TOO_LONG)
                    except (ValueError, OverflowError) as error:
                        yield Reject(number, "unreadable value", str(error))
                    else:
                        record = dict(zip(names, read, strict=True))
                        if classes:
                            record[columns.label] = _named(record[columns.label], classes)
                        yield refused(number, record, columns) or columns.row(number, record)
                source.done(size(source.path) * number // total)
        except BertZhError:  # is a ValueError
            raise
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise BertZhError(f"{named(source.path)} can't be read as Parquet: {reason}") from error


def _is_answer(field: Any, columns: Columns) -> bool:
    import pyarrow

    plain = not pyarrow.types.is_nested(field.type)
    return field.name == ANSWER and columns.label is not None and plain


def _shared(metadata: "FileMetaData") -> list[str]:
    schema = metadata.schema
    columns = (schema.column(index) for index in range(len(schema)))
    return [
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY"
        and column.logical_type.type in _SHARED
        # Arrow can't do it inside lists.
        and not column.max_repetition_level
    ]


def _check_sizes(metadata: "FileMetaData", names: list[str], source: Source) -> None:
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.path_in_schema.split(".")[0] not in names:
                continue
            unpacked, packed = column.total_uncompressed_size, column.total_compressed_size
            most = UNPACKED_LISTS if "." in column.path_in_schema else UNPACKED
            if unpacked > max(most, SHRUNK * packed):
                raise BertZhError(
                    f"{named(source.path)}: the column {column.path_in_schema} unpacks to "
                    f"{unpacked:,} bytes, more than {SHRUNK} times its size, as no text does"
                )


def _reader(array: Any) -> Callable[[int], Any]:
    """The function from a row's place in an Arrow array to its value."""
    import pyarrow
    from pyarrow import compute

    if isinstance(array, pyarrow.DictionaryArray):
        indices, shared = array.indices.to_pylist(), cache(_reader(array.dictionary))
        return lambda index: None if indices[index] is None else shared(indices[index])
    if not isinstance(array, _texts()):
        return lambda index: _value(array[index])
    lengths = compute.binary_length(array).to_pylist()

    def text(index: int) -> Any:
        # Before a copy of it is made.
        if (lengths[index] or 0) > LONGEST:
            raise _TooLong
        return _value(array[index])

    return text


def _texts() -> tuple[Any, ...]:
    import pyarrow

    return (
        pyarrow.StringArray,
        pyarrow.LargeStringArray,
        pyarrow.BinaryArray,
        pyarrow.LargeBinaryArray,
    )


class _TooLong(Exception):
    """A value that is over a limit."""


def _value(scalar: "Scalar[Any]") -> Any:
    """A value as Python has it, but with broken bytes as U+FFFD."""
    import pyarrow

    if not scalar.is_valid:
        return None
    if isinstance(scalar, pyarrow.ListScalar | pyarrow.LargeListScalar):
        if len(scalar) > MOST_ITEMS:
            raise _TooLong
        return [_value(item) for item in scalar.values]
    if isinstance(scalar, pyarrow.BinaryScalar | pyarrow.LargeBinaryScalar):
        return scalar.as_buffer().to_pybytes().decode("utf-8", "replace")
    return scalar.as_py()


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str]:
    """The names that Hugging Face's datasets write beside a column of numbers (ClassLabel)."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[label]
        # Of several labels: {"feature": …, "_type": "Sequence"} or [ … ].
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        names = feature["names"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return []
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else []


def _named(value: Any, classes: list[str]) -> Any:
    """A label's name for its number, or those of a list; -1 is no label."""
    if isinstance(value, list):
        return [_named(item, classes) for item in value]
    if not isinstance(value, int):
        return value
    return classes[value] if 0 <= value < len(classes) else None
