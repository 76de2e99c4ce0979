"""The command `search`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.search.options import Options


@command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@takes(Options)
def search(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A spaCy config, e.g. configs/ensemble.cfg")],
    output: Annotated[Path, typer.Argument(help="Folder to work in; a search goes on in it")],
    **options: Any,
) -> None:
    """Find better settings for a corpus; takes --section.key overrides as `train` does."""
    from spacy.cli._util import parse_config_overrides

    from spacy_bert_zh.search import search as run
    from spacy_bert_zh.search.report import lines

    overrides = parse_config_overrides(context.args)
    chosen = Options(**options)
    for line in lines(run(config, output, overrides=overrides, options=chosen, say=typer.echo)):
        typer.echo(line)
    typer.echo(f"✔ {output / 'report.html'}")
