"""The command `select`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.select.options import Options


@command()
@takes(Options)
def select(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    pool: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of texts.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    **options: Any,
) -> None:
    """Choose the texts of an unlabelled pool whose labels would tell a pipeline most."""
    from spacy_bert_zh.reading.options import parts
    from spacy_bert_zh.select import select as run

    columns = parts(options.pop("text_columns").replace("，", ","))
    labelled = tuple(options.pop("labelled") or ())
    made = Options(text_columns=columns, labelled=labelled, **options)
    found = run(pipeline, pool, output, made)
    for why, number in found.counts.items():
        typer.echo(f"ℹ {number:,} {why}")
    guesses = ", ".join(f"{label} {number:,}" for label, number in found.guesses.items())
    typer.echo(f"ℹ guessed: {guesses or 'no label'}")
    typer.echo(f"✔ {output / 'selected.jsonl'} ({len(found.rows):,} texts)")
