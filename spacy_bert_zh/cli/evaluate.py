"""The command `evaluate`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def evaluate(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    corpus: Annotated[Path, typer.Argument(help="A .spacy file, or a folder of them.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for metrics.json and report.html.")],
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score of a given label, instead of the pipeline's own.")
    ] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="Child and parent, for a pipeline without a tree.")
    ] = None,
    explain: Annotated[
        int, typer.Option(help="Most confident mistakes to explain in the report.", min=0, max=20)
    ] = 0,
    force: Annotated[bool, typer.Option(help="Also if nothing was learnt.")] = False,
) -> None:
    """Measure a trained pipeline on a corpus and write a report to read."""
    from spacy_bert_zh.evaluate import check_metrics, print_table
    from spacy_bert_zh.evaluate import evaluate as run
    from spacy_bert_zh.explain import Mistakes

    metrics = run(
        pipeline,
        corpus,
        output_dir,
        gpu_id=gpu_id,
        component=component,
        threshold=threshold,
        taxonomy=taxonomy,
        explain=partial(Mistakes, explain) if explain else None,
    )
    print_table(metrics)
    typer.echo(f"✔ {output_dir / 'report.html'}")
    if not force and not check_metrics(f"{pipeline} on {corpus}", metrics):
        typer.echo("Too few texts to tell whether it is better than a constant answer")
