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
    processes: Annotated[
        int, typer.Option(help="Learn in several, each on a core or GPU of its own", min=1)
    ] = 1,
    force: Annotated[bool, typer.Option(help="Also if nothing was learnt")] = False,
) -> None:
    """Train as `spacy train` does, with its --section.key overrides; can be resumed.

    Also under torchrun.
    """
    if processes > 1:
        from spacy_bert_zh.ranks import launch

        flags = [f"--{name}" for name, on in (("resume", resume), ("force", force)) if on]
        given = ["--output", output, "--gpu-id", gpu_id, "--minutes", minutes, *flags]
        arguments = map(str, ("train", config, *given, *context.args))
        raise typer.Exit(launch(list(arguments), processes))
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
