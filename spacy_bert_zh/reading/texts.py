"""The texts of a corpus, cleaned, and what of it can't be used: for `pretrain` and `select`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.cleaning import fault, make_cleaner
from spacy_bert_zh.reading.formats import get_format
from spacy_bert_zh.reading.inputs import size
from spacy_bert_zh.reading.options import Options, TextOptions
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source


def as_unlabelled(options: TextOptions) -> Options:
    """How to read texts whose labels, if there are any, don't count."""
    given = {field.name: getattr(options, field.name) for field in fields(TextOptions)}
    return Options(**given, unlabelled=True)


def read_clean(
    source: Path, options: TextOptions, counts: Counter[str]
) -> Iterator[tuple[str, str, int]]:
    """Yield each text that can be used with its file and line, and count the rows.

    Args:
        source: File or folder.
        options: How to read it.
        counts: Gets what was read, remarked and rejected.

    Raises:
        BertZhError: There is no file, or one can't be read.
    """
    reading = as_unlabelled(options)
    clean, form = make_cleaner(reading), get_format(options.format)
    files = list(form.files(source))
    if not files:
        raise BertZhError(f"{source} has no file of the format {options.format}")
    total = sum(size(file) for file in files)
    with tqdm(total=total, unit="B", unit_scale=True, desc=source.name, disable=None) as bar:
        for file in files:
            for row in form.read(Source(file, source, options.encoding, bar.update), reading):
                counts["read"] += 1
                reason = row.reason if isinstance(row, Reject) else None
                text = "" if isinstance(row, Reject) else clean(row.text)
                if isinstance(row, Row) and row.remark:
                    counts[f"remarked: {row.remark}"] += 1
                if reason := reason or fault(text, None):
                    counts[f"rejected: {reason}"] += 1
                else:
                    yield text, file.name, row.line
