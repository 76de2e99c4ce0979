"""The command `train`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A spaCy config, e.g. configs/torch.cfg")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pipelines")],
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint")] = False,
    minutes: Annotated[float, typer.Option(help="How long it may take; 0: no limit", min=0)] = 0.0,
    force: Annotated[bool, typer.Option(help="Also if nothing was learnt")] = False,
) -> None:
    """Train as `spacy train` does, with its --section.key overrides; can be resumed."""
    from spacy.cli._util import parse_config_overrides

    from spacy_bert_zh.train import train as run

    run(
        config,
        output,
        use_gpu=gpu_id,
        overrides=parse_config_overrides(context.args),
        resume=resume,
        force=force,
        minutes=minutes,
    )
