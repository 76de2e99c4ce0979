"""The command `crossval`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.crossval.options import Options


@command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@takes(Options)
def crossval(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A spaCy config, e.g. configs/ensemble.cfg")],
    corpus: Annotated[Path, typer.Argument(help="Labelled texts, as `convert` writes them")],
    output: Annotated[Path, typer.Argument(help="Folder to work in; it goes on in it")],
    **options: Any,
) -> None:
    """Judge every row by a pipeline that hasn't seen it; takes --section.key overrides."""
    from spacy.cli._util import parse_config_overrides

    from spacy_bert_zh.crossval import crossval as run
    from spacy_bert_zh.crossval.report import lines

    given, chosen = parse_config_overrides(context.args), Options(**options)
    report = run(config, corpus, output, overrides=given, options=chosen, say=typer.echo)
    for line in lines(report):
        typer.echo(line)
    typer.echo(f"✔ {output / 'report.html'}")
