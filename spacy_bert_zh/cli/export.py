"""The command `export`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def export(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    output: Annotated[Path, typer.Argument(help="What to make: a folder, for keras a file.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="torch, tensorflow, onnx (the pipeline with that engine), checkpoint (its BERT), "
            "savedmodel, keras.",
        ),
    ],
    strings: Annotated[bool, typer.Option(help="savedmodel: it takes texts too.")] = True,
    precision: Annotated[str, typer.Option(help="onnx: fp32, fp16, int8 or int8-static.")] = "fp32",
    dev: Annotated[Path | None, typer.Option(help="onnx: a corpus to compare on.")] = None,
    force: Annotated[bool, typer.Option(help="onnx: also if it got worse.")] = False,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Write a trained pipeline for another engine or another framework."""
    from spacy_bert_zh.export import export as run

    made = run(
        pipeline,
        output,
        format,
        strings=strings,
        precision=precision,
        dev=dev,
        force=force,
        component=component,
    )
    typer.echo(f"✔ {made}")
