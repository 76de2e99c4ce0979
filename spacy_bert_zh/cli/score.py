"""The command `score`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def score(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    source: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of texts.")],
    output: Annotated[Path, typer.Argument(help="The file of JSON lines to make.")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="jsonl, csv, tsv, parquet, text, …")
    ],
    encoding: Annotated[str | None, typer.Option(help="Of the input; else detected.")] = None,
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
        format=format, encoding=encoding, text_columns=text_columns, unlabelled=True
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
