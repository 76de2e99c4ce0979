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
    budget: Annotated[
        str, typer.Option(help='What it may take: a size, "4 MB", or a speed, "3x".')
    ] = "",
    train: Annotated[
        Path | None, typer.Option(help="What it learnt from, for narrower networks to learn from.")
    ] = None,
    agree: Annotated[
        float | None,
        typer.Option(help="Share of texts that keep their label, with 95 % confidence.  [0.995]"),
    ] = None,
    loss: Annotated[float, typer.Option(help="Accuracy on that corpus that may be lost.")] = 0.003,
    minutes: Annotated[
        float, typer.Option(help="How long each training may take; 0: no limit", min=0)
    ] = 0.0,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Let n-grams answer alone where they are sure, or find the smaller form within a budget."""
    from spacy_bert_zh.compress import compress as run
    from spacy_bert_zh.compress import compress_to

    if budget:
        compress_to(
            pipeline,
            output,
            dev,
            budget,
            train=train,
            agree=agree,
            loss=loss,
            minutes=minutes,
            component=component,
            say=typer.echo,
        )
        typer.echo(f"✔ {output / 'pipeline'}, {output / 'report.html'}")
        return
    found = run(pipeline, output, dev, agree=agree or 0.995, loss=loss, component=component)
    typer.echo(
        f"{found['reach_network']:.1%} of {found['texts']:,} texts reach the network; accuracy "
        f"{found['accuracy']:.4f} (before {found['accuracy_before']:.4f}), same answer for "
        f"{found['agreement']:.2%}"
    )
    typer.echo(f"✔ {output}")
