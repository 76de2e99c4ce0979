"""The command `audit`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.audit.options import Options
from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes


@command()
@takes(Options)
def audit(
    corpus: Annotated[Path, typer.Argument(help="Labelled texts, as `convert` writes them.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    **options: Any,
) -> None:
    """Find rows that are likely wrongly labelled, and what else is odd about a corpus."""
    from spacy_bert_zh.audit import audit as run
    from spacy_bert_zh.audit.page import lines

    for line in lines(run(corpus, output, Options(**options))):
        typer.echo(line)
    typer.echo(f"✔ {output / 'audit.html'}")
