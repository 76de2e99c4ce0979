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
        str,
        typer.Option(
            help="soup: mean of the weights; committee: all of them answer, in the mean; stacking: "
            "a model learns how far to believe which."
        ),
    ] = "soup",
    train: Annotated[
        Path | None, typer.Option(help="For stacking: the corpus that they learnt from.")
    ] = None,
    crossvalidated: Annotated[
        list[Path] | None,
        typer.Option(help="For stacking: what 'crossval' made by each one's config, in order."),
    ] = None,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Make one pipeline of several: the mean of their weights, or all of them side by side."""
    from spacy_bert_zh.ensemble import ensemble as run

    found = run(
        pipelines,
        output,
        dev,
        method=method,  # type: ignore[arg-type]
        train=train,
        crossvalidated=crossvalidated or (),
        component=component,
    )
    for one in found["runs"]:
        said = f"share {one['share']:.2f}" if one["share"] else "left out"
        typer.echo(f"ℹ {one['pipeline']}: {one['score']:.4f}, {said}")
    if method == "soup" and sum(one["share"] > 0 for one in found["runs"]) == 1:
        typer.echo("ℹ No other run raised the score of the best one, which is the outcome")
    typer.echo(
        f"ℹ score on {dev}: {found['score']:.4f}, the mean of the runs {found['mean_of_runs']:.4f}"
    )
    typer.echo(f"✔ {output}")
