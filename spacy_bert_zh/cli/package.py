"""The command `package`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def package(
    pipeline: Annotated[Path, typer.Argument(help="Folder of a trained pipeline.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for the wheels.")],
    name: Annotated[str, typer.Option(help="Name, without the prefix zh_.")] = "bert_textcat",
    version: Annotated[str, typer.Option(help="Version of the package.")] = "1.0.0",
    metrics: Annotated[Path | None, typer.Option(help="metrics.json of 'evaluate'.")] = None,
    data_report: Annotated[Path | None, typer.Option(help="Report of 'convert'.")] = None,
    license: Annotated[str, typer.Option(help="Licence of the pipeline.")] = "",
    author: Annotated[str, typer.Option(help="Author of the pipeline.")] = "",
    force: Annotated[bool, typer.Option(help="Also if nothing was learnt, or who knows.")] = False,
) -> None:
    """Make a trained pipeline into pip-installable wheels with a model card."""
    from spacy_bert_zh.package import package as make

    made = make(
        pipeline,
        output_dir,
        name=name,
        version=version,
        metrics=metrics,
        data_report=data_report,
        license=license,
        author=author,
        force=force,
    )
    typer.echo(made)
