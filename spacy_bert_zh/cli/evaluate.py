"""The command `evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def evaluate(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    corpus: Annotated[Path, typer.Argument(help="A .spacy file, or a folder of them.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for metrics.json and report.html.")],
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU")] = -1,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Measure a trained pipeline on a corpus and write a report to read."""
    from spacy_bert_zh.evaluate import evaluate as run
    from spacy_bert_zh.report import print_table

    print_table(run(pipeline, corpus, output_dir, gpu_id=gpu_id, component=component))
    typer.echo(f"✔ {output_dir / 'report.html'}")
