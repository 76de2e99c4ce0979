"""The command `label`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.label.options import Options


@command()
@takes(Options)
def label(
    pool: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of texts.")],
    output: Annotated[Path, typer.Argument(help="Folder to work in, and to go on in.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    **options: Any,
) -> None:
    """Give texts their labels, on a page in the browser; see docs/label.md."""
    from spacy_bert_zh.label import label as run
    from spacy_bert_zh.reading.options import parts

    columns = parts(options.pop("text_columns").replace("，", ","))
    made = Options(text_columns=columns, **options)
    found = run(pool, output, made, host=host, port=port, say=lambda line: typer.echo(f"ℹ {line}"))
    for why, number in found.taken.items():
        typer.echo(f"ℹ {number:,} answers {why}")
    if found.disagreed:
        typer.echo(f"⚠ {output / 'disagreed.jsonl'} ({found.disagreed:,} texts: labels differ)")
    typer.echo(f"✔ {found.exported or output / 'labels.jsonl'} ({found.agreed:,} texts agreed on)")
