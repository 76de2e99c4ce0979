"""The command `index`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.index.options import Options


@command()
@takes(Options)
def index(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
    **options: Any,
) -> None:
    """Let a pipeline know labelled texts by heart: evidence, voters, labels without training."""
    from spacy_bert_zh.index import index as run

    found = run(pipeline, output, Options(**options), gpu_id=gpu_id, component=component)
    if found["forgotten"]:
        typer.echo(
            f"ℹ {found['forgotten']:,} texts are forgotten and gone from the files; what the "
            "weights learnt from them stays until the next training"
        )
    if found["twice"]:
        typer.echo(f"ℹ {found['twice']:,} texts were there already, with the same labels")
    if not found["texts"]:
        typer.echo("ℹ the index is empty: the classifier answers alone until --add gives it texts")
    elif "loss" in found:
        before, after = found["accuracy"]
        typer.echo(
            f"ℹ the neighbours' share is {1 - found['share']:.2f}: accuracy on the texts that "
            f"chose it {before:.4f} → {after:.4f}"
        )
    elif found["share"] == 1.0 and not found["new_labels"]:
        typer.echo("ℹ neighbours are named and have no say in the scores: --dev gives them one")
    if found["new_labels"]:
        typer.echo(f"ℹ told by their texts alone: {', '.join(found['new_labels'])}")
    typer.echo(f"✔ {output} ({found['texts']:,} texts)")
