"""The command `score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.reading.options import TextOptions


@command()
@takes(TextOptions)
def score(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    source: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of texts, or -.")],
    output: Annotated[
        Path, typer.Argument(help="The file to make (.jsonl, .csv, .parquet), or -.")
    ],
    keep: Annotated[str, typer.Option(help="Columns that go along, between commas.")] = "",
    keep_all: Annotated[bool, typer.Option("--keep-all", help="All but the text's.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Write the texts, too.")] = False,
    output_format: Annotated[
        str | None, typer.Option(help="jsonl, csv or parquet; else by the output's ending.")
    ] = None,
    component: Annotated[str | None, typer.Option(help="Of several text classifiers.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a multi-label pipeline; else its own.", min=0, max=1)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    chunk_size: Annotated[int, typer.Option(help="Rows of a chunk.", min=1)] = 5_000,
    restart: Annotated[bool, typer.Option(help="Don't go on with a cut-off run.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray; see docs/scale.md.")] = False,
    **reading: Any,
) -> None:
    """Classify a corpus of any size, a row out for each row in; goes on where it was cut off."""
    from spacy_bert_zh.reading import Options, parse_options
    from spacy_bert_zh.score import score as run

    kept = None if keep_all else keep
    options = parse_options(Options, **reading, keep=kept, unlabelled=True)
    summary = run(
        pipeline,
        source,
        output,
        options,
        output_format=output_format,
        text=text,
        component=component,
        threshold=threshold,
        workers=workers,
        chunk_size=chunk_size,
        restart=restart,
        ray=ray,
    )
    printed = str(output) == "-"
    for note in summary.notes:
        typer.echo(f"ℹ {note}", err=printed)
    typer.echo(f"✔ {output} ({summary.rows:,} rows)", err=printed)
    if summary.errors:
        said = f"⚠ {summary.errors:,} of {summary.rows:,} rows have an error, no label"
        typer.secho(f"{said}; the first is {summary.first}", fg=typer.colors.YELLOW, err=True)
