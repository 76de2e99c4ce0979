"""Options that say how files are read, the same for every command that reads a corpus."""

from typing import Annotated

import typer

Encoding = Annotated[str | None, typer.Option(help="Of the input; else detected.")]
Delimiter = Annotated[str | None, typer.Option(help="csv, tsv: between fields; else detected.")]
Quotes = Annotated[
    bool | None,
    typer.Option(
        "--quotes/--no-quotes", help="csv, tsv: quotation marks are no text; else detected."
    ),
]
Escape = Annotated[
    str | None, typer.Option(help=r"csv, tsv: before quotation marks, e.g. '\\'; else detected.")
]
Sheet = Annotated[str | None, typer.Option(help="xlsx: the sheet; else the only one.")]
