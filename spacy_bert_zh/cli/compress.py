"""The command `compress`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def compress(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    dev: Annotated[Path, typer.Option(help="A corpus that nothing was trained on.")],
    agree: Annotated[
        float, typer.Option(help="Share of texts that keep their label, with 95 % confidence.")
    ] = 0.995,
    loss: Annotated[float, typer.Option(help="Accuracy on that corpus that may be lost.")] = 0.003,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Let the n-grams of an ensemble answer alone where they are sure."""
    from spacy_bert_zh.compress import compress as run

    found = run(pipeline, output, dev, agree=agree, loss=loss, component=component)
    typer.echo(
        f"{found['reach_network']:.1%} of {found['texts']:,} texts reach the network; accuracy "
        f"{found['accuracy']:.4f} (before {found['accuracy_before']:.4f}), same answer for "
        f"{found['agreement']:.2%}"
    )
    typer.echo(f"✔ {output}")
