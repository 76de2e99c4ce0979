"""The command `calibrate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.trust.options import Aims


@command()
@takes(Aims)
def calibrate(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    dev: Annotated[Path, typer.Option(help="Texts it hasn't learnt from, as `convert` writes.")],
    train: Annotated[
        Path | None,
        typer.Option(help="Texts it has learnt from: it then tells which texts are unlike them."),
    ] = None,
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
    **options: Any,
) -> None:
    """Let a pipeline's scores mean what they say, and let it decide what it can answer."""
    from spacy_bert_zh.calibrate import calibrate as run
    from spacy_bert_zh.trust import describe

    found = run(
        pipeline,
        output,
        dev,
        Aims(**options),
        train=train,
        gpu_id=gpu_id,
        component=component,
    )
    for line in describe(found):
        typer.echo(line)
    typer.echo(f"✔ {output}")
