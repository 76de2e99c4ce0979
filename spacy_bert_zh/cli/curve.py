"""The command `curve`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.curve.options import Options, parse_options


@command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@takes(Options)
def curve(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A spaCy config, e.g. configs/ensemble.cfg")],
    corpus: Annotated[Path, typer.Argument(help="Labelled texts, as `convert` writes them")],
    output: Annotated[Path, typer.Argument(help="Folder to work in; it goes on in it")],
    **options: Any,
) -> None:
    """Accuracy by training rows, and what twice as many bring; takes --section.key overrides."""
    from spacy.cli._util import parse_config_overrides

    from spacy_bert_zh.curve import curve as run
    from spacy_bert_zh.curve.report import lines

    given, chosen = parse_config_overrides(context.args), parse_options(**options)
    for line in lines(run(config, corpus, output, chosen, overrides=given, say=typer.echo)):
        typer.echo(line)
    typer.echo(f"✔ {output / 'report.html'}")
