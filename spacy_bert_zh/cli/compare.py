"""The command `compare`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def compare(
    first: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    others: Annotated[list[str], typer.Argument(help="Those that it is compared with.")],
    corpus: Annotated[
        Path, typer.Option("--corpus", "-c", help="A .spacy file, or a folder of them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")] = Path(
        "comparison"
    ),
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Tell whether one pipeline is better than others, or only luckier on these texts."""
    from spacy_bert_zh.compare import compare as run
    from spacy_bert_zh.compare.page import lines

    found = run(first, others, corpus, output, gpu_id=gpu_id, component=component)
    for line in lines(found):
        typer.echo(line)
    typer.echo(f"✔ {output / 'comparison.html'}")
