"""The command `attack`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.attack.options import Options
from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes


@command()
@takes(Options)
def attack(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    corpus: Annotated[Path, typer.Argument(help="A .spacy file, or a folder of them.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    **options: Any,
) -> None:
    """Change texts as people do who dodge a filter, and tell which labels bear it."""
    from spacy_bert_zh.attack import attack as run
    from spacy_bert_zh.attack.flow import check
    from spacy_bert_zh.attack.page import lines
    from spacy_bert_zh.reading.options import parts

    named, similar = parts(options.pop("families")), tuple(options.pop("similar") or ())
    made = Options(families=named, similar=similar, **options)
    found = run(pipeline, corpus, output, made)
    for line in lines(found):
        typer.echo(line)
    typer.echo(f"✔ {output / 'report.html'}")
    if made.fail_under is not None:
        check(found, made.fail_under)
