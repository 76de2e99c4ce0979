"""The command `ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def ensemble(
    pipelines: Annotated[
        list[str], typer.Argument(help="Folders or package names of pipelines, two or more.")
    ],
    dev: Annotated[Path, typer.Option(help="A corpus that nothing was trained on; it chooses.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    method: Annotated[
        str, typer.Option(help="soup: mean of the weights; committee: all of them answer.")
    ] = "soup",
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Make one pipeline of several: the mean of their weights, or a committee of them."""
    from spacy_bert_zh.ensemble import ensemble as run

    found = run(pipelines, output, dev, method=method, component=component)  # type: ignore[arg-type]
    for one in found["runs"]:
        said = f"share {one['share']:.2f}" if one["share"] else "left out"
        typer.echo(f"ℹ {one['pipeline']}: {one['score']:.4f}, {said}")
    if sum(one["share"] > 0 for one in found["runs"]) == 1:
        typer.echo("ℹ No other run raised the score of the best one, which is the outcome")
    typer.echo(
        f"ℹ score on {dev}: {found['score']:.4f}, the mean of the runs {found['mean_of_runs']:.4f}"
    )
    typer.echo(f"✔ {output}")
