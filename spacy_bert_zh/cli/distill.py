"""The command `distill`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.reading.options import TextOptions


@command()
@takes(TextOptions, undecided=["format"])
def distill(
    teachers: Annotated[list[str], typer.Argument(help="Folders or package names of pipelines.")],
    output: Annotated[Path, typer.Argument(help="Folder for the pipelines.")],
    corpus: Annotated[Path, typer.Option(help="Folder that `convert` made.")],
    student: Annotated[
        str, typer.Option(help="ngrams, layers=N (of the teacher's BERT), a pipeline, or a config.")
    ] = "ngrams",
    temperature: Annotated[
        float, typer.Option(help="Divides the logits of both before they are compared.", min=1)
    ] = 1.0,
    gold_share: Annotated[
        float, typer.Option(help="Of the loss, where a text has a gold label.", min=0, max=1)
    ] = 0.3,
    unlabelled: Annotated[
        Path | None,
        typer.Option(help="File or folder of further texts, one a line or as --format says."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Of the training; 0 fits them.", min=0)] = 0,
    minutes: Annotated[float, typer.Option(help="How long it may take; 0: no limit", min=0)] = 0.0,
    resume: Annotated[bool, typer.Option(help="Go on with a cut-off training.")] = False,
    force: Annotated[bool, typer.Option(help="Also if nothing was learnt")] = False,
    component: Annotated[str | None, typer.Option(help="Of several text classifiers.")] = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="-1 is the CPU.", min=-1)] = -1,
    **options: Any,
) -> None:
    """Train a small pipeline to say what large ones say, also of texts without labels."""
    from spacy_bert_zh.distill import distill as run
    from spacy_bert_zh.reading import Options, parse_options

    options["format"] = options["format"] or "text"
    best = run(
        teachers,
        output,
        corpus,
        unlabelled=unlabelled,
        options=parse_options(Options, **options, unlabelled=True),
        student=student,
        temperature=temperature,
        gold_share=gold_share,
        component=component,
        use_gpu=gpu_id,
        overrides={"training.max_steps": steps} if steps else {},
        resume=resume,
        force=force,
        minutes=minutes,
    )
    typer.echo(f"✔ {best}")
