"""Workbooks of Excel (.xlsx): one sheet with a header, its values as people see them."""

import datetime
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.reading.columns import choose
from spacy_bert_zh.reading.exports import refused
from spacy_bert_zh.reading.inputs import SHRUNK, UNPACKED, named, opened, size
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source
from spacy_bert_zh.reading.table import unique_names

if TYPE_CHECKING:
    from openpyxl import Workbook

# Sheets are read row by row; styles and the table of strings are in memory.
MOST_AT_ONCE = 1 << 29
# Rows in which a sheet shows whether it has any value.
_LOOKED_AT = 1000


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read a row from each row below the header that has any value."""
    with opened(source.path) as raw:
        _check_sizes(raw, source)
        names: list[str] = []
        for number, cells in _rows(raw, source, options):
            values = [_seen(cell) for cell in cells]
            while values and values[-1] is None:
                values.pop()
            if not values:
                continue
            if not names:
                names = unique_names([value or "" for value in values])
                columns = choose(names, options, source)
            elif len(values) > len(names):
                detail = f"{len(values)}, not {len(names)}"
                text = "\t".join(value or "" for value in values)
                yield Reject(number, "wrong number of fields", detail, text)
            else:
                values += [None] * (len(names) - len(values))
                record = dict(zip(names, values, strict=True))
                yield refused(number, record, columns) or columns.row(number, record)
        source.done(size(source.path))


def _check_sizes(raw: IO[bytes], source: Source) -> None:
    """Refuse what would fill memory; `zipfile` reads no more of a part than it says it has."""
    try:
        parts = zipfile.ZipFile(raw).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise BertZhError(
            f"{named(source.path)} is no .xlsx workbook ({error}): save it as .xlsx, or as "
            "CSV UTF-8 for --format csv"
        ) from None
    for part in parts:
        sheet = part.filename.startswith("xl/worksheets/")
        if part.file_size > max(UNPACKED, SHRUNK * part.compress_size) or (
            part.file_size > MOST_AT_ONCE and not sheet
        ):
            raise BertZhError(
                f"{named(source.path)}: its part {part.filename} unpacks to {part.file_size:,} "
                "bytes: save the sheet as CSV UTF-8 and read it with --format csv"
            )


def _rows(raw: IO[bytes], source: Source, options: Options) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield (row number, cells) of the sheet."""
    try:
        import openpyxl
    except ImportError:
        raise missing_extra("openpyxl", "convert", "--format xlsx") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a sheet has besides its values
            book = openpyxl.load_workbook(raw, read_only=True, data_only=True, keep_links=False)
            yield from enumerate(_sheet(book, source, options), 1)
    except BertZhError:
        raise
    # Whatever is wrong in a file that anyone may have written, in whatever depth of the library.
    except Exception as error:
        raise BertZhError(
            f"{named(source.path)} can't be read as a workbook ({type(error).__name__}: {error}): "
            "save it again as .xlsx, or as CSV UTF-8 for --format csv"
        ) from error


def _sheet(book: "Workbook", source: Source, options: Options) -> Iterable[Sequence[Any]]:
    """The rows of the sheet that is meant."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    for sheet in sheets.values():
        sheet.reset_dimensions()  # which some programs state wrongly
    listed = ", ".join(map(repr, sheets)) or "none"
    if options.sheet is not None:
        if options.sheet not in sheets:
            raise BertZhError(
                f"no sheet '{options.sheet}': the sheets of {named(source.path)} are: {listed}"
            )
        return sheets[options.sheet].iter_rows()
    filled = [sheet for sheet in sheets.values() if _has_values(sheet.iter_rows())]
    if len(filled) > 1:
        names = ", ".join(repr(sheet.title) for sheet in filled)
        raise BertZhError(f"{named(source.path)} has several sheets: choose of {names} by --sheet")
    return filled[0].iter_rows() if filled else ()


def _has_values(rows: Iterable[Sequence[Any]]) -> bool:
    return any(_seen(cell) is not None for row in islice(rows, _LOOKED_AT) for cell in row)


def _seen(cell: Any) -> str | None:
    """A value as its reader sees it: 1 for 1.0, a date without the time that it lacks."""
    from openpyxl.utils.escape import unescape

    value = cell.value
    if value is None or cell.data_type == "e":  # an error: #N/A, #REF!
        return None
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return unescape(value) if isinstance(value, str) else str(value)
