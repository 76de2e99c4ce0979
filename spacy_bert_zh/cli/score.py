"""The command `score`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.reading import Delimiter, Encoding, Escape, Quotes, Sheet


@command()
def score(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    source: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of texts.")],
    output: Annotated[Path, typer.Argument(help="The file of JSON lines to make.")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="jsonl, csv, tsv, xlsx, parquet, text, …")
    ],
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    quotes: Quotes = None,
    escape: Escape = None,
    sheet: Sheet = None,
    text_columns: Annotated[str, typer.Option(help="One or more, between commas.")] = "",
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    chunk_size: Annotated[int, typer.Option(help="Rows of a chunk.", min=1)] = 5_000,
    restart: Annotated[bool, typer.Option(help="Don't go on with a cut-off run.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray; see docs/scale.md.")] = False,
) -> None:
    """Classify a corpus of any size, a row out for each row in; goes on where it was cut off."""
    from spacy_bert_zh.convert.options import parse_options
    from spacy_bert_zh.score import score as run

    options = parse_options(
        format=format,
        encoding=encoding,
        delimiter=delimiter,
        quotes=quotes,
        escape=escape,
        sheet=sheet,
        text_columns=text_columns,
        unlabelled=True,
    )
    rows = run(
        pipeline,
        source,
        output,
        options,
        workers=workers,
        chunk_size=chunk_size,
        restart=restart,
        ray=ray,
    )
    typer.echo(f"✔ {output} ({rows:,} rows)")
